"""One real Ceph for all tests of a run (of each worker of pytest-xdist), taken down at the end whatever happened."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.ceph.cluster import ENGINE, NODE, POOL, Cluster

from cyclades.pools.rbd import RbdPool, RbdSettings

NOTHING: dict[str, list[str]] = {"images": [], "trash": [], "snapshots": [], "objects": []}
PATIENCE = 120.0  # for pools that no test makes wait


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    # Short: paths of sockets are.
    with tempfile.TemporaryDirectory(prefix="ceph-") as directory:
        cluster = Cluster(Path(directory, "c"))
        try:
            cluster.up()
            yield cluster
        finally:
            cluster.down()


MakePool = Callable[..., RbdPool]


@pytest.fixture
async def make_pool(cluster: Cluster, tmp_path: Path) -> AsyncIterator[MakePool]:
    """Makes pools as several engine processes would have the same one. Afterwards all disks are deleted as their owners
    would, and nothing may be left in Ceph."""
    made: list[RbdPool] = []

    def make(deepest: int = 5, patience: float = PATIENCE) -> RbdPool:
        settings = RbdSettings(cluster.conf, POOL, ENGINE, NODE)
        made.append(RbdPool("ceph", settings, tmp_path, deepest=deepest, patience=patience))
        return made[-1]

    yield make
    last = make()
    for disk in await last.disks():
        if disk.owner is not None:
            await last.release(disk.name, disk.owner, disk.generation)
    for disk in await last.disks():
        await last.delete(disk.name)
    for pool in made:
        pool.close()
    assert cluster.left() == NOTHING


@pytest.fixture
def pool(make_pool: MakePool) -> RbdPool:
    return make_pool()


@pytest.fixture
def twin(make_pool: MakePool) -> RbdPool:
    return make_pool()
