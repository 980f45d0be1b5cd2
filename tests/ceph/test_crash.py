"""Operations on volumes and snapshots in Ceph, broken in every way at every step; then database, pool and quota are
compared, and Ceph itself is looked at. tests/crash does the same on qcow2."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import crash_cases
from tests.ceph.cluster import ENGINE, NODE, POOL, Cluster
from tests.ceph.conftest import NOTHING
from tests.crash import test_crash
from tests.crash.stage import OTHER_POOL, stage
from tests.crash.test_crash import kind_of

from cyclades.config import PoolSettings
from cyclades.pools.rbd import RbdPool
from cyclades.store.database import Database

# What a file in a qcow2 pool's own directory is needed for.
_ELSEWHERE = {"volume_manage:file"}


def cases() -> list[tuple[str, str, str]]:
    """Scenario, step and mode of every case that this run has chosen."""
    found = [
        case
        for case in test_crash.cases()
        if kind_of(case[0]).startswith(("volume_", "snapshot_")) and case[0] not in _ELSEWHERE
    ]
    return [case for case in found if crash_cases.is_chosen("ceph", "-".join(case))]


@pytest.mark.parametrize(("scenario", "step", "mode"), cases())
async def test_broken(
    database: Database, cluster: Cluster, tmp_path: Path, scenario: str, step: str, mode: str
) -> None:
    ceph = PoolSettings("local", engine="rbd", ceph_conf=cluster.conf, ceph_pool=POOL, user=ENGINE, node_user=NODE)
    async with stage(database, tmp_path / "cloud", (ceph, PoolSettings(OTHER_POOL))) as world:
        try:
            await test_crash.play(world, scenario, step, mode)
            assert cluster.left() == NOTHING
        finally:
            for pool in world.world.own_pools.values():
                if isinstance(pool, RbdPool):
                    pool.close()
