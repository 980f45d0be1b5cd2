"""A pool without space: what was asked for ends with the reason, nothing is left of it, and the rest goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.scenarios_servers import a_blank_volume, a_flavor, a_server
from tests.crash.stage import PROJECT, Stage, stage

from cyclades.model import quota
from cyclades.model.units import MIB
from cyclades.operations import server_create, server_delete, volume_create, volume_delete
from cyclades.operations.block_device import IMAGE_ROOT, Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store import quotas, schema
from cyclades.store.database import Database

FULL = "The pool has no space left."


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    """Its pool has 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    pools = tmp_path / "cloud" / "pools"
    pools.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "cyclades-test", pools], check=True)  # noqa: ASYNC221
    try:
        async with stage(database, tmp_path / "cloud") as found:
            yield found
    finally:
        subprocess.run(["umount", pools], check=True)  # noqa: ASYNC221


async def used(cloud: Stage) -> dict[str, int]:
    return {name: n for name, n in (await cloud.db.read(lambda tx: quotas.usage(tx, PROJECT))).items() if n}


async def test_a_volume_from_an_image_that_does_not_fit(cloud: Stage) -> None:
    kept, image_id = await a_blank_volume(cloud), await cloud.add_image(size=8 * MIB)
    wanted = Wanted(source="image", source_id=image_id)
    volume_id = await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, wanted))
    row = await cloud.one(schema.volume, volume_id)
    assert (row.status, row.reason, row.operation_id) == ("error", FULL, None)
    assert await cloud.differences() == []
    await cloud.do(lambda tx: volume_delete.start(tx, cloud.caller, volume_id))
    assert (await cloud.one(schema.volume, volume_id)).status == "deleted"
    assert (await cloud.one(schema.volume, kept)).status == "available"
    await a_blank_volume(cloud)  # there is room for that
    await cloud.clear()


async def test_a_server_whose_root_does_not_fit(cloud: Stage) -> None:
    existing, image_id, flavor_id = (
        await a_blank_volume(cloud),
        await cloud.add_image(size=8 * MIB),
        await a_flavor(cloud),
    )
    before = await used(cloud)
    asked = Asked(name="one", flavor_id=flavor_id, image_id=image_id, disks=(IMAGE_ROOT, Disk(volume_id=existing)))
    server_id: Any = await cloud.do(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    row = await cloud.one(schema.server, server_id)
    assert (row.status, row.reason) == ("ERROR", FULL)
    assert (await cloud.one(schema.volume, existing)).status == "available"
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    assert await used(cloud) == before
    assert before[quota.VOLUMES] == 1
    small = await a_server(cloud)
    assert (await cloud.one(schema.server, small)).status == "ACTIVE"
    await cloud.clear()
