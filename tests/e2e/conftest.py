"""One cloud for all of these tests, and three guests that have booted in it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.clouds import KEY, Cloud, Guest, User

OTHER_POOL = "other"  # beside the default one


@pytest.fixture(scope="session")
def reachable() -> Iterator[Path]:
    """A directory in which guests run as the user without rights: pytest's own let nobody else in."""
    path = Path(tempfile.mkdtemp(prefix="cyclades-e2e-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def _cloud(reachable: Path) -> Iterator[Cloud]:
    pools = json.dumps([{"name": name} for name in ("local", OTHER_POOL)])
    cloud = Cloud(reachable / "a cloud, by name", CYCLADES_POOLS=pools)  # QEMU's options are separated by commas
    yield cloud
    cloud.end()


@pytest.fixture
def cloud(_cloud: Cloud) -> Cloud:
    """It runs when a test begins. A test may stop it."""
    _cloud.start()
    return _cloud


@pytest.fixture(scope="session")
def _demo(_cloud: Cloud) -> User:
    _cloud.start()
    return _cloud.user()


@pytest.fixture
def demo(cloud: Cloud, _demo: User) -> User:
    """The user `demo` of the cloud."""
    return _demo


@pytest.fixture(scope="session")
def blank_image(_demo: User) -> str:
    """An image that no guest boots from: servers of it cost nothing."""
    return _demo.new_image(bytes(1 << 20), "raw")


@pytest.fixture
def server(demo: User, blank_image: str) -> str:
    """A server of `demo` whose QEMU runs; no guest boots in it."""
    return demo.new_server(blank_image)


@dataclass(frozen=True)
class Booted:
    """A server whose guest answers over ssh."""

    user: User
    server_id: str
    guest: Guest

    def address(self, kind: str = "fixed") -> str:
        return self.user.address(self.server_id, kind)


@pytest.fixture(scope="session")
def ssh_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key; its public part is beside it."""
    key = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key


def _with_key_and_image(user: User, ssh_key: Path, image: Path) -> str:
    """The user has the keypair `KEY` from now on, and this image of the small guest."""
    public = {"name": KEY, "public_key": ssh_key.with_suffix(".pub").read_text()}
    user.ask("POST", "/compute/v2.1/os-keypairs", {"keypair": public})
    return user.new_image(image.read_bytes(), "qcow2")


@pytest.fixture(scope="session")
def small_image(_demo: User, ssh_key: Path, guest_image: Path) -> str:
    """The image of the small guest, of `demo`, who has the keypair `KEY`, too."""
    return _with_key_and_image(_demo, ssh_key, guest_image)


def booted_by(user: User, server_id: str, ssh_key: Path) -> Booted:
    """Wait until the guest of a server with the keypair `KEY` answers."""
    user.until_server(server_id, "ACTIVE")
    guest = Guest(user.address(server_id, "floating"), ssh_key)
    guest.until_up()
    return Booted(user, server_id, guest)


@pytest.fixture(scope="session")
def _booted(_cloud: Cloud, _demo: User, small_image: str, ssh_key: Path, guest_image: Path) -> list[Booted]:
    others = _cloud.user("openrc")
    images = [(_demo, small_image, 2), (others, _with_key_and_image(others, ssh_key, guest_image), 1)]
    made = [(user, user.make_server(image_id, key_name=KEY)) for user, image_id, count in images for _ in range(count)]
    return [booted_by(user, server_id, ssh_key) for user, server_id in made]


@pytest.fixture
def booted(cloud: Cloud, _booted: list[Booted]) -> list[Booted]:
    """Three servers with guests: the first two are of `demo`, the third is of another project. They are up when a test
    begins."""
    down = [one for one in _booted if one.user.server(one.server_id)["status"] == "SHUTOFF"]
    for one in down:
        one.user.act(one.server_id, "os-start")
    for one in down:
        one.user.until_server(one.server_id, "ACTIVE")
        one.guest.until_up()
    return _booted
