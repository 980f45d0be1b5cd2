"""A volume whose type asks for what no pool is: accepted, and in error with a message, as in Cinder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crash.stage import stage

from cyclades.operations import volume_create
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
