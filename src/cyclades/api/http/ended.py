"""Waiting, for the few answers that only an engine can give."""

from __future__ import annotations

import asyncio
from typing import Any

from cyclades.store import operations
from cyclades.store.database import Database

_LOOK_AGAIN = 0.1  # seconds, where the engine is another process and does not wake us


async def until_ended(db: Database, op_id: str, seconds: float) -> Any:
    """The operation once it has ended, or None if that takes longer."""
    woken = asyncio.Event()
    stop_listening = db.listen("ended", woken.set)
    try:
        async with asyncio.timeout(seconds):
            while True:
                woken.clear()
                row = await db.read(lambda tx: operations.get(tx, op_id))
                if row is not None and row.ended_at is not None:
                    return row
                try:
                    await asyncio.wait_for(woken.wait(), _LOOK_AGAIN)
                except TimeoutError:
                    continue
    except TimeoutError:
        return None
    finally:
        stop_listening()
