"""Volumes that no pool can make, and volumes whose source is deleted right after they were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from tests.crash.scenarios import a_volume
from tests.crash.scenarios_volume_data import a_snapshot
from tests.crash.stage import stage

from cyclades.operations import snapshot_delete, volume_create, volume_delete
from cyclades.operations.base import new_id
from cyclades.operations.new_volume import Wanted
from cyclades.store import schema, volume_types
from cyclades.store.database import Database


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        ({"vendor_name": "Nobody"}, "The volume type asks for vendor_name 'Nobody'; pool local has 'Cyclades'."),
        ({"capabilities:storage_protocol": "tape"}, "asks for storage_protocol 'tape'; pool local has 'qcow2'."),
        ({"vendor_name": "Cyclades", "storage_protocol": "qcow2", "colour": "red"}, None),
    ],
)
async def test_what_a_type_asks_of_a_pool(
    database: Database, tmp_path: Path, specs: dict[str, str], reason: str | None
) -> None:
    """As in Cinder it is accepted, and ends in error with a message."""
    async with stage(database, tmp_path / "cloud") as cloud:
        type_id = new_id()
        columns = {"is_public": True, "is_default": False, "extra_specs": specs}
        await database.write(lambda tx: volume_types.add(tx, type_id, name="special", **columns))
        wanted = Wanted(size=1, type="special")
        volume_id = await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, wanted))
        row = await cloud.one(schema.volume, volume_id)
        told = await database.read(lambda tx: tx.execute(schema.message.select()).all())
        if reason is None:
            assert (row.status, told) == ("available", [])
        else:
            assert row.status == "error"
            assert row.reason is None
            (message,) = told
            assert message.resource_id == volume_id
            assert message.text.endswith(reason)
        assert await cloud.differences() == []
        await cloud.clear()


@pytest.mark.parametrize("source", ["volume", "snapshot"])
async def test_what_was_asked_for_before_its_source_goes_is_made(
    database: Database, tmp_path: Path, source: Literal["volume", "snapshot"]
) -> None:
    """Both accepted before an engine looks; the deletion, which needs no copying, would come first by itself."""
    async with stage(database, tmp_path / "cloud") as cloud:
        source_id = await a_volume(cloud)
        if source == "snapshot":
            source_id = await a_snapshot(cloud, source_id)
        delete = {"volume": volume_delete.start, "snapshot": snapshot_delete.start}[source]
        wanted = Wanted(source=source, source_id=source_id)
        made = await database.write(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, wanted))
        await database.write(lambda tx: delete(tx, cloud.caller, source_id))
        late = schema.operation.update().where(schema.operation.c.kind == volume_create.OPERATION.kind)
        await database.write(lambda tx: tx.execute(late.values(not_before=schema.now() + 100_000)))
        await cloud.settle()
        assert (await cloud.one(schema.volume, made)).status == "available"
        await cloud.clear()
