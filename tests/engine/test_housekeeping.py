"""An engine forgets, beside its work, what is kept for a time only."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from cyclades.config import Settings
from cyclades.engine import housekeeping
from cyclades.store.database import Database, Tx
from cyclades.store.housekeeping import BATCH, Batch, forget
from cyclades.store.schema import image, message, revocation

LIMIT = 60.0


def count(tx: Tx, table: sa.Table) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


async def test_it_goes_on_to_the_end_whatever_fails_with_one_table(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"project_id": "p", "request_id": "r", "operation": "o", "resource_kind": "volume", "resource_id": "v"}
    messages = [{"id": str(n), "text": "t", "created_at": 1, "expires_at": 1, **old} for n in range(2 * BATCH + 1)]
    revoked = {"kind": "token", "subject": "t", "expires_at": 1}

    def add(tx: Tx) -> None:
        tx.execute(message.insert(), messages)
        tx.execute(revocation.insert(), revoked)

    await database.write(add)
    came_to_images = threading.Event()

    def broken(tx: Tx, *args: Any, **named: Any) -> Batch:
        if named["kind"].table is revocation:
            raise OSError("broken on purpose")
        if named["kind"].table is image:
            came_to_images.set()
        return forget(tx, *args, **named)

    monkeypatch.setattr(housekeeping, "forget", broken)
    keeping = asyncio.create_task(housekeeping.keep_house(database, Settings()))
    try:
        assert await asyncio.to_thread(came_to_images.wait, LIMIT)
    finally:
        keeping.cancel()
    assert await database.read(lambda tx: (count(tx, message), count(tx, revocation))) == (0, 1)
