"""Disks of a server on Ganeti that is off go to another pool: the cluster finds them there when it starts it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.ganeti import configuration
from tests.ganeti.cells import Cells
from tests.ganeti.scenarios import a_server, an_attachment, to_other_pool
from tests.ganeti.stage import OTHER_POOL, POOL, GanetiStage, ganeti_stage
from tests.pools.disk_io import parts, write

from cyclades.model.errors import WrongState
from cyclades.model.names import volume_disk
from cyclades.model.units import KIB
from cyclades.operations import server_create, server_start, server_stop
from cyclades.store import attachments, schema
from cyclades.store.database import Database


@pytest.fixture
async def stage(
    database: Database, tmp_path: Path, cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[GanetiStage]:
    monkeypatch.setattr(server_create, "_require_bootable", lambda _: None)  # see `scenarios._asked`
    async with ganeti_stage(database, tmp_path / "cloud", cells) as stage:
        yield stage
        assert await stage.differences() == []
        await stage.clear()


def _pools(stage: GanetiStage) -> dict[str, str]:
    """Where the cluster looks for each disk."""
    disks: list[dict[str, Any]] = list(configuration.read(stage.cells["c1"])["disks"].values())
    return {str(disk["name"]): disk["params"]["pool"] for disk in disks}


async def test_a_server_that_is_off(stage: GanetiStage, tmp_path: Path) -> None:
    server_id, volume_id = await an_attachment(stage)
    disk = volume_disk(volume_id)
    for byte in (1, 2):
        await write(stage.world.pools[POOL], disk, byte * KIB, KIB, byte)
    (root, _) = await stage.db.read(lambda tx: attachments.of_server(tx, server_id))
    for type_name, pool in (("other", OTHER_POOL), ("standard", POOL)):
        for each in (root.volume_id, volume_id):
            await stage.do(lambda tx, each=each, name=type_name: to_other_pool(tx, stage, each, name))
            row = await stage.one(schema.volume, each)
            assert (row.status, row.pool, row.migration_status) == ("in-use", pool, "success")
            assert _pools(stage)[volume_disk(each)] == pool
        assert await stage.differences() == []
        assert await parts(stage.world.pools[pool], disk, tmp_path, (KIB, KIB), (2 * KIB, KIB)) == [
            b"\1" * KIB,
            b"\2" * KIB,
        ]
        await stage.do(lambda tx: server_start.start(tx, stage.caller, server_id))
        server = await stage.one(schema.server, server_id)
        assert server.status == "ACTIVE", server.reason
        await stage.do(lambda tx: server_stop.start(tx, stage.caller, server_id))


async def test_one_that_runs_keeps_its_disks_where_they_are(stage: GanetiStage) -> None:
    server_id = await a_server(stage)
    (root,) = await stage.db.read(lambda tx: attachments.of_server(tx, server_id))
    with pytest.raises(WrongState) as refused:
        await stage.db.write(lambda tx: to_other_pool(tx, stage, root.volume_id))
    assert refused.value.rule == "retype-in-use-on-ganeti"
