"""One cloud for all of these tests, and three guests that have booted in it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.clouds import KEY, Cloud, Guest, User


@pytest.fixture(scope="session")
def reachable() -> Iterator[Path]:
    """A directory in which guests run as the user without rights: pytest's own let nobody else in."""
    path = Path(tempfile.mkdtemp(prefix="cyclades-e2e-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def _cloud(reachable: Path) -> Iterator[Cloud]:
    cloud = Cloud(reachable / "a cloud, by name")  # QEMU's options are separated by commas
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
def _booted(_cloud: Cloud, _demo: User, guest_image: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Booted]:
    key = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = {"name": KEY, "public_key": key.with_suffix(".pub").read_text()}
    image, others = guest_image.read_bytes(), _cloud.user("openrc")
    made: list[tuple[User, str]] = []
    for user, count in ((_demo, 2), (others, 1)):
        user.ask("POST", "/compute/v2.1/os-keypairs", {"keypair": public})
        image_id = user.new_image(image, "qcow2")
        made += [(user, user.make_server(image_id, key_name=KEY)) for _ in range(count)]
    booted = []
    for user, server_id in made:
        user.until_server(server_id, "ACTIVE")
        guest = Guest(user.address(server_id, "floating"), key)
        guest.until_up()
        booted.append(Booted(user, server_id, guest))
    return booted


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
