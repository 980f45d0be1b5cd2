"""A pool that Ganeti's nodes share, and nodes."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests import databases
from tests.provider.node import InstanceDisk, Node, node, why_not

from cyclades.model.names import volume_disk
from cyclades.model.units import KIB, MIB
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store.database import Database

OWNER = "c1/server-a"


@pytest.fixture(scope="session", autouse=True)
def _able() -> None:
    if reason := why_not():
        pytest.skip(f"a node of Ganeti's {reason}")


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> databases.Sqlite:
    return databases.Sqlite(tmp_path_factory.mktemp("tables"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "pool"


@pytest.fixture
def small(directory: Path) -> Iterator[None]:
    """The pool is on a file system of 4 MiB. To be asked for before the pool and the nodes."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "cyclades-test", directory], check=True)
    yield
    subprocess.run(["umount", directory], check=True)


def fill(directory: Path) -> Path:
    """Take all the space that is left, with one file."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(KIB))
    return filler


@pytest.fixture
def pool(directory: Path, tmp_path: Path, _tables: databases.Sqlite) -> Iterator[Qcow2Pool]:
    """On SQLite alone: nodes do not read the books."""
    database = Database(_tables.with_tables(tmp_path))
    yield Qcow2Pool("fast", directory, database)
    database.close()


@pytest.fixture
def volume() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def nodes(directory: Path) -> Iterator[Callable[[str], Node]]:
    """Makes nodes of a backend."""
    with ExitStack() as held:
        yield lambda backend: held.enter_context(node({"backend": backend, "pools": {"fast": str(directory)}}))


@pytest.fixture
def here(nodes: Callable[[str], Node]) -> Node:
    return nodes("c1")


@pytest.fixture
async def claimed(pool: Qcow2Pool, volume: str, here: Node) -> InstanceDisk:
    """A disk of 8 MiB of the pool that a server may have, as its instance will have it."""
    await pool.create(volume_disk(volume), 8 * MIB)
    await pool.claim(volume_disk(volume), OWNER, 1, card=True)
    return InstanceDisk(here, volume)
