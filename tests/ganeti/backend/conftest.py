"""A Ganeti backend on the cluster c1, and a pool that its nodes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from tests import databases
from tests.backends.ground import Ground, persistently, until
from tests.backends.other_process import OtherProcess, Twin
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.guest import Kernel
from tests.ganeti.place import GanetiPlace, access_of, clear, install, name_of, node_of

from cyclades.backends.base import Backend
from cyclades.model.units import MIB
from cyclades.store.database import Database

MEMORY = 96  # MiB, of a server with the small guest
SIZE = 4 * MIB  # of a volume: the least that Ganeti takes


@pytest.fixture(scope="module")
def pool_directory(cells: Cells, c1: Cell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = clear(cells.shared / "backend-pool")
    install(c1, {"local": directory}, tmp_path_factory.mktemp("settings"))
    return directory


@pytest.fixture
def place(c1: Cell, pool_directory: Path, guest_kernel: Kernel, tmp_path: Path) -> GanetiPlace:
    url = f"sqlite:///{tmp_path}/cyclades.db"
    return GanetiPlace(c1.name, access_of(c1), guest_kernel.hvparams, pool_directory, url)


@pytest.fixture
def database(place: GanetiPlace) -> Iterator[Database]:
    database = Database(place.database_url)
    databases.make_tables(database.engine)
    yield database
    database.close()


@asynccontextmanager
async def _opened(ground: Ground) -> AsyncIterator[Ground]:
    """With the backend opened, and without its servers in the end."""
    await ground.backend.open()
    yield ground
    for server in await ground.backend.servers():
        await persistently(lambda server_id=server.server_id: ground.backend.delete(server_id))  # type: ignore[misc]
    await ground.backend.close()


@pytest.fixture
async def ground(c1: Cell, place: GanetiPlace, database: Database) -> AsyncIterator[Ground]:
    """Servers are KVM instances with the small guest, which finds empty disks."""

    async def until_up(server_id: str) -> None:
        await asyncio.to_thread(_until_up, c1, server_id)

    pool = place.pool(database)
    async with _opened(
        Ground(place.twin(database), pool, card=True, memory=MEMORY, size=SIZE, answers=until_up)
    ) as ground:
        yield ground


@pytest.fixture
async def machines(place: GanetiPlace, database: Database) -> AsyncIterator[Ground]:
    """Servers are KVM instances that find nothing to boot: they run, and let go of nothing."""
    backend = place.twin(database, hvparams={})
    async with _opened(Ground(backend, place.pool(database), card=True, memory=MEMORY, size=SIZE)) as ground:
        yield ground


@pytest.fixture
async def no_guests(place: GanetiPlace, database: Database) -> AsyncIterator[Ground]:
    """Servers only seem to run (Ganeti's hypervisor `fake`); their disks are real."""
    backend = place.twin(database, hypervisor="fake", hvparams={})
    async with _opened(Ground(backend, place.pool(database), card=True, memory=MEMORY, size=SIZE)) as ground:
        yield ground


def _until_up(cell: Cell, server_id: str) -> None:
    console = node_of(cell, server_id).console(name_of(server_id))
    try:
        console.until_up()
    finally:
        console.close()


@pytest.fixture(scope="module")
def other_process() -> Iterator[OtherProcess]:
    process = OtherProcess()
    yield process
    process.close()


@pytest.fixture
async def twin(other_process: OtherProcess, place: GanetiPlace, ground: Ground) -> AsyncIterator[Backend]:
    await other_process.call("use", (place,), {})
    yield cast(Backend, Twin(other_process))
    await other_process.call("leave", (), {})


@pytest.fixture
def reopened(place: GanetiPlace, database: Database) -> Callable[[], Awaitable[Backend]]:
    async def reopen() -> Backend:
        backend = place.twin(database)
        await backend.open()
        return backend

    return reopen


@pytest.fixture
def crash(c1: Cell, ground: Ground) -> Callable[[str], Awaitable[None]]:
    """A server's QEMU is killed on its node."""

    async def kill(server_id: str) -> None:
        node = node_of(c1, server_id)
        pid = node.run("cat", f"/run/ganeti/kvm-hypervisor/pid/{name_of(server_id)}").strip()
        node.run("kill", "-9", pid)
        await until(lambda: not node.run("ps", "-o", "stat=", "-p", pid, check=False).strip("Z\n"))

    return kill
