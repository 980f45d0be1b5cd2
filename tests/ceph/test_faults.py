"""Ceph that hangs: work is delayed, the reason is told, nothing is lost, and other pools notice nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.ceph.cluster import PATIENCE, POOL, Cluster
from tests.ceph.conftest import MakePool
from tests.pools.contract import A, B, S
from tests.pools.disk_io import content, write

from cyclades.model.errors import Away, Passing
from cyclades.model.units import KIB, MIB
from cyclades.pools.base import at_rest
from cyclades.pools.rbd import RbdPool

_SILENCE = 3.0  # seconds that these pools bear


@pytest.fixture
def pool(make_pool: MakePool) -> RbdPool:
    return make_pool(patience=_SILENCE)


async def until_it_works(doing: Callable[[], object]) -> None:
    """As the engine tries again what is `Passing` or `Away`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await doing()  # type: ignore[misc]
            except Passing:
                await asyncio.sleep(0.2)
            else:
                return


@asynccontextmanager
async def stopped(cluster: Cluster, daemon: str) -> AsyncIterator[None]:
    cluster.signal(daemon, signal.SIGSTOP)
    try:
        yield
    finally:
        cluster.signal(daemon, signal.SIGCONT)


@pytest.mark.parametrize("daemon", ["osd.0", "mon.a"])
async def test_a_daemon_that_hangs(cluster: Cluster, pool: RbdPool, make_pool: MakePool, daemon: str) -> None:
    await pool.create(A, MIB)
    other = make_pool(patience=_SILENCE)  # begins while Ceph hangs
    async with stopped(cluster, daemon):
        with pytest.raises(Away) as refused:
            await other.create(B, MIB)
        assert "Ceph" in str(refused.value)
        if daemon == "osd.0":
            with pytest.raises(Away) as refused:
                await pool.snapshot(A, S, at_rest)
            assert "Ceph" in str(refused.value)
    await until_it_works(lambda: other.create(B, MIB))
    await until_it_works(lambda: pool.snapshot(A, S, at_rest))
    assert {disk.name for disk in await pool.disks()} == {A, B, S}


async def test_an_osd_that_is_killed_comes_back(cluster: Cluster, pool: RbdPool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    await write(pool, A, 0, KIB, 1)
    cluster.kill("osd.0")
    try:
        with pytest.raises(Away) as refused:
            await pool.clone(B, S, MIB)
        assert "Ceph" in str(refused.value)
    finally:
        cluster.start("osd.0")
    await until_it_works(lambda: pool.snapshot(A, S, at_rest))
    await pool.clone(B, S, MIB)
    assert await content(pool, B, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")


async def test_a_cluster_that_takes_no_writes(cluster: Cluster, pool: RbdPool) -> None:
    cluster.ask("osd set", key="pause")
    try:
        with pytest.raises(Away, match="paused"):
            await pool.create(A, MIB)
    finally:
        cluster.ask("osd unset", key="pause")
    await until_it_works(lambda: pool.create(A, MIB))


async def fill(pool: RbdPool) -> None:
    """Make volumes until the pool takes no more, which its monitor notices late."""
    async with asyncio.timeout(PATIENCE):
        for number in range(10_000):
            await pool.create(f"snf-vol-{number}", MIB)
            await asyncio.sleep(0.1)


async def test_a_pool_that_is_full(cluster: Cluster, pool: RbdPool, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"\1" * 8 * MIB)
    await pool.import_image("snf-img-i", source, "raw")
    cluster.ask("osd pool set-quota", pool=POOL, field="max_bytes", val=str(MIB))
    try:
        with pytest.raises(Away, match="full"):
            await fill(pool)
    finally:
        cluster.ask("osd pool set-quota", pool=POOL, field="max_bytes", val="0")
    await until_it_works(lambda: pool.create(A, MIB))
    await until_it_works(lambda: pool.clone(B, "snf-img-i", 8 * MIB))
    assert await content(pool, B, tmp_path) == source.read_bytes()


async def test_a_worker_that_is_killed(pool: RbdPool) -> None:
    await pool.create(A, MIB)
    worker = pool._link._worker
    assert worker is not None
    making = asyncio.gather(*(pool.create(f"snf-vol-{n}", MIB) for n in range(8)), return_exceptions=True)
    await asyncio.sleep(0)
    worker.kill()
    assert all(fault is None or isinstance(fault, Passing) for fault in await making)
    for number in range(8):
        await until_it_works(lambda n=number: pool.create(f"snf-vol-{n}", MIB))  # type: ignore[misc]
    assert len(await pool.disks()) == 9
