"""What processes and engines write down of themselves, for others to read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cyclades.engine import presence
from cyclades.pools.base import Usage
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store import pools, services
from cyclades.store.database import Database
from cyclades.store.schema import now, service

LIMIT = 60  # seconds


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(database: Database, condition: Any) -> Any:
    async with asyncio.timeout(LIMIT):
        while True:
            if found := await database.read(condition):
                return found
            await asyncio.sleep(0.01)


async def test_a_process_is_seen_while_it_runs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "SAID_EVERY", 0.01)
    own = presence.own_id()
    async with running(presence.be_seen(database, "engine", own)):
        (first,) = await until(database, services.every)
        assert (first.id, first.kind) == (own, "engine")
        later = await until(
            database, lambda tx: [row for row in services.every(tx, kind="engine") if row.seen_at > first.seen_at]
        )
        assert later[0].started_at == first.started_at
        assert await database.read(lambda tx: services.every(tx, kind="api")) == []
    assert await database.read(services.every) == []


async def test_a_process_that_died_long_ago_is_forgotten(database: Database) -> None:
    def seen(tx: Any, name: str) -> None:
        services.seen(tx, name, host="h", kind="api", version="1")

    await database.write(lambda tx: seen(tx, "dead"))
    await database.write(lambda tx: tx.execute(service.update().values(seen_at=now() - services.GONE - 1)))
    await database.write(lambda tx: seen(tx, "alive"))
    assert [row.id for row in await database.read(services.every)] == ["alive"]


async def test_what_a_pool_holds_is_written_down(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "SAID_EVERY", 0.01)
    pool = Qcow2Pool("local", tmp_path, database)
    await pool.create("disk", 5 << 20)
    await database.write(lambda tx: pools.report(tx, "local", engine="qcow2", total=0, free=0, promised=0))
    await database.write(lambda tx: pools.change(tx, "local", enabled=False, disabled_reason="full"))
    async with running(presence.report(database, pool)):
        (row,) = await until(database, lambda tx: [row for row in pools.every(tx, ["local"]) if row.total])
    assert (row.engine, row.promised) == ("qcow2", 5 << 20)
    assert 0 < row.free <= row.total
    assert (row.enabled, row.disabled_reason) == (False, "full")  # an operator's wish stays


class _Silent:
    """A pool whose storage cannot be reached, for a while."""

    name, engine = "far", "rbd"

    def __init__(self) -> None:
        self.asked = 0

    async def usage(self) -> Usage:
        self.asked += 1
        if self.asked < 3:
            raise OSError("no route to the storage")
        return Usage(3, 2, 1)


async def test_a_pool_that_cannot_be_reached_is_asked_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "SAID_EVERY", 0.01)
    pool: Any = _Silent()
    async with running(presence.report(database, pool)):
        (row,) = await until(database, lambda tx: pools.every(tx, ["far"]))
    assert (row.total, row.free, row.promised) == (3, 2, 1)
