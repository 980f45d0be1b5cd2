"""One engine at a time looks now and then, or when told, and keeps what it saw. It mends nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.scenarios_reconcile import mend, unowned_disk
from tests.crash.stage import LIMIT, Stage, stage

from cyclades.model.errors import Away
from cyclades.reconcile import pools, schedule
from cyclades.store import differences, schema
from cyclades.store.database import Database


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found


async def kept(cloud: Stage) -> list[tuple[str, str]]:
    return [(row.kind, row.resource) for row in await cloud.db.read(differences.every)]


async def test_what_differs_is_kept_until_it_does_not(cloud: Stage) -> None:
    assert await cloud.db.read(differences.last_look) is None
    disk = await unowned_disk(cloud)
    assert await schedule.look_if_due(cloud.world, "one", every=0, pause=0)
    assert await kept(cloud) == [("pool-disk-unowned", f"disk {disk}")]
    (first,) = await cloud.db.read(differences.every)
    assert first.fixes == ["pool-disk-unowned"]
    assert await schedule.look_if_due(cloud.world, "two", every=0, pause=0)
    assert await cloud.db.read(differences.every) == [first]
    assert [one.name for one in await cloud.world.pools["local"].disks()] == [disk]
    await mend(cloud, ["pool-disk-unowned"])
    assert await schedule.look_if_due(cloud.world, "one", every=0, pause=0)
    assert await kept(cloud) == []


async def test_one_engine_at_a_time(cloud: Stage) -> None:
    def turn(owner: str, every: int) -> Any:
        return cloud.db.write(lambda tx: differences.take_turn(tx, owner, lease=60_000_000, every=every))

    assert await turn("one", 0) is True
    assert await turn("two", 0) is False
    assert await schedule.look_if_due(cloud.world, "two", every=0, pause=0) is False
    # One that has died.
    await cloud.db.write(lambda tx: tx.execute(schema.look.update().values(until=1)))
    assert await turn("two", 0) is True
    assert await cloud.db.write(lambda tx: differences.report(tx, "one", [], {}, [])) is False
    assert await cloud.db.write(lambda tx: differences.report(tx, "two", [], {}, [])) is True
    assert await turn("one", 60_000_000) is False
    assert await turn("one", 0) is True


async def test_what_does_not_answer_is_as_it_was(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = await unowned_disk(cloud)
    await schedule.look_if_due(cloud.world, "one", every=0, pause=0)

    async def away(*_: Any) -> Any:
        raise Away("It is away.")

    monkeypatch.setattr(pools, "look", away)
    await schedule.look_if_due(cloud.world, "one", every=0, pause=0)
    assert await kept(cloud) == [("pool-disk-unowned", f"disk {disk}")]
    last = await cloud.db.read(differences.last_look)
    assert last is not None
    assert last.unseen.keys() == {"local", "other"}


@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_on_a_clock_or_when_told(cloud: Stage, seconds: float) -> None:
    cloud.settings.engine.reconcile_seconds = seconds
    task = asyncio.create_task(schedule.keep_looking(cloud.world, "one"))
    try:
        async with asyncio.timeout(LIMIT):
            while await cloud.db.read(differences.last_look) is None:
                if not seconds:
                    cloud.db.publish(schedule.SIGNAL)
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
