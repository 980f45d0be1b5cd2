"""One cloud for all of these tests, and its users as the `cinder` command."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clouds import Cloud, User
from tests.conformance.cinder import Cinder, until


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    directory = Path(tempfile.mkdtemp(prefix="cyclades-conformance-"))
    directory.chmod(0o711)  # guests run as a user without rights
    cloud = Cloud(directory / "cloud")
    try:
        cloud.start()
        yield cloud
    finally:
        cloud.end()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def demo(cloud: Cloud) -> User:
    return cloud.user()


@pytest.fixture(scope="session")
def cinder(cloud: Cloud) -> Cinder:
    """As the user demo."""
    return Cinder(cloud.data / "openrc-demo")


@pytest.fixture(scope="session")
def admin(cloud: Cloud) -> Cinder:
    return Cinder(cloud.data / "openrc")


@pytest.fixture
def name() -> str:
    """That nothing has yet."""
    return f"n-{uuid.uuid4().hex}"


@pytest.fixture
def volume(cinder: Cinder, demo: User, name: str) -> Callable[..., str]:
    """Makes one and waits until it is there; returns its id."""

    def make(*words: str, size: int = 1) -> str:
        volume_id = cinder.shown("create", "--name", name, *words, str(size))["id"]
        until(demo, "volume", volume_id, "available")
        return volume_id

    return make


@pytest.fixture
def snapshot(cinder: Cinder, demo: User) -> Callable[[str, str], str]:
    """Makes one of a volume and waits until it is there; returns its id."""

    def make(volume_id: str, name: str) -> str:
        snapshot_id = cinder.shown("snapshot-create", "--name", name, volume_id)["id"]
        until(demo, "snapshot", snapshot_id, "available")
        return snapshot_id

    return make
