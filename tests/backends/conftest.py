"""A local backend and a pool, both real, in a place that the guests' user can reach."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from tests import databases
from tests.backends.ground import Ground, until
from tests.backends.other_process import OtherProcess, Place, Twin

from cyclades.backends.base import Backend
from cyclades.backends.local import LocalBackend
from cyclades.backends.local.home import Home
from cyclades.store.database import Database

USER = 64321


@pytest.fixture
def directory() -> Iterator[Path]:
    """pytest's own directories let nobody else in."""
    path = Path(tempfile.mkdtemp(prefix="cyclades-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def place(directory: Path) -> Place:
    (directory / "servers").mkdir(mode=0o711)
    (directory / "pool").mkdir(mode=0o711)
    return Place(directory, f"sqlite:///{directory}/cyclades.db", USER if os.geteuid() == 0 else None)


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    """SQLite: what a backend does is the same on either."""
    database = Database(place.database_url)
    databases.make_tables(database.engine)
    yield database
    database.close()


@pytest.fixture
async def ground(place: Place, database: Database) -> AsyncIterator[Ground]:
    backend = place.backend()
    await backend.open()
    ground = Ground(backend, place.pool(database))
    yield ground
    for server in sorted(path.name for path in (place.directory / "servers").iterdir() if path.name[0] != "."):
        await ground.backend.delete(server)
    await ground.backend.close()


@pytest.fixture
def local(ground: Ground) -> LocalBackend:
    assert isinstance(ground.backend, LocalBackend)
    return ground.backend


@pytest.fixture(scope="module")
def other_process() -> Iterator[OtherProcess]:
    process = OtherProcess()
    yield process
    process.close()


@pytest.fixture
async def twin(other_process: OtherProcess, place: Place, ground: Ground) -> AsyncIterator[Backend]:
    await other_process.call("use", (place,), {})
    yield cast(Backend, Twin(other_process))
    await other_process.call("leave", (), {})


@pytest.fixture
def home(place: Place) -> Callable[[str], Home]:
    return lambda server_id: Home(place.directory / "servers" / server_id)


@pytest.fixture
def pid(home: Callable[[str], Home]) -> Callable[[str], int]:
    """The number of a running server's QEMU."""

    def read(server_id: str) -> int:
        found = home(server_id).pid()
        assert found is not None
        return found

    return read


@pytest.fixture
def crash(home: Callable[[str], Home]) -> Callable[[str], Awaitable[None]]:
    async def kill(server_id: str) -> None:
        number = home(server_id).pid()
        assert number is not None
        os.kill(number, 9)
        await until(lambda: home(server_id).pid() is None)

    return kill


@pytest.fixture
def reopened(place: Place) -> Callable[[], Awaitable[Backend]]:
    async def reopen() -> Backend:
        backend = place.backend()
        await backend.open()
        return backend

    return reopen
