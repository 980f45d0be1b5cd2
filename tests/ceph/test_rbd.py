"""The RBD pool: what every pool does, and what is its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.ceph.cluster import Cluster
from tests.pools.contract import PoolContract

from cyclades.pools.rbd import RbdPool


class TestContract(PoolContract):
    @pytest.fixture(autouse=True)
    async def nothing_leaks(self, cluster: Cluster, pool: RbdPool) -> AsyncIterator[None]:
        """What remains is deleted as its owner would, and then Ceph is as empty as before."""
        yield
        disks = await pool.disks()
        for disk in disks:
            if disk.owner is not None:
                await pool.release(disk.name, disk.owner, disk.generation)
            await pool.delete(disk.name)
        assert await pool.tidy() == []
        assert cluster.left() == {"images": [], "trash": [], "snapshots": [], "objects": []}
