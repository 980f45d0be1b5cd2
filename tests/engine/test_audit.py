"""Differences that the audit must find, in a small real cloud whose rows are changed by hand. That it finds none in a
cloud where nothing went wrong is said by every crash case."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.scenarios_servers import a_blank_volume
from tests.crash.stage import Stage, stage

from cyclades.operations import volume_purge, volume_transfer
from cyclades.operations.volume_transfer import Offer
from cyclades.store import schema, transfers, volumes
from cyclades.store.database import Database


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found


async def offer(cloud: Stage, volume_id: str) -> Offer:
    return await cloud.db.write(
        lambda tx: volume_transfer.create(tx, cloud.caller, volume_id, name=None, no_snapshots=False)
    )


async def change_by_hand(cloud: Stage, volume_id: str, **values: Any) -> None:
    await cloud.db.write(lambda tx: volumes.change(tx, volume_id, **values))


async def test_transfers_that_are_as_they_should_be(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    first = await offer(cloud, volume_id)
    assert await cloud.differences() == []
    await cloud.db.write(lambda tx: volume_transfer.take_back(tx, cloud.caller, first.transfer_id))
    assert await cloud.differences() == []
    second = await offer(cloud, volume_id)
    await cloud.db.write(
        lambda tx: volume_transfer.accept(tx, cloud.caller, cloud.settings, second.transfer_id, second.key)
    )
    assert await cloud.differences() == []

    # What an operation has is on its way.
    await offer(cloud, volume_id)
    await cloud.db.write(lambda tx: volume_purge.start(tx, cloud.caller, volume_id, cascade=False, force=True))
    assert (await cloud.one(schema.volume, volume_id)).status == "deleting"
    assert await cloud.differences() == []
    await cloud.settle()
    await cloud.clear()


async def test_a_transfer_of_a_volume_that_is_not_waiting(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    offered = await offer(cloud, volume_id)
    await change_by_hand(cloud, volume_id, status="available")
    wrong = f"transfer {offered.transfer_id} offers volume {volume_id}, which is available"
    assert await cloud.differences() == [wrong]


async def test_a_transfer_of_a_volume_that_does_not_exist(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    offered = await offer(cloud, volume_id)
    await change_by_hand(cloud, volume_id, deleted_at=schema.now())
    wrong = f"transfer {offered.transfer_id} offers volume {volume_id}, which does not exist"
    assert wrong in await cloud.differences()


async def test_a_volume_that_waits_for_no_transfer(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    offered = await offer(cloud, volume_id)
    await cloud.db.write(lambda tx: transfers.end(tx, offered.transfer_id))
    assert await cloud.differences() == [f"volume {volume_id} is awaiting-transfer, and no transfer offers it"]
