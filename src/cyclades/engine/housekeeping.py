"""Forgets, now and then, what is kept for a time only: what was deleted, events, messages, operations that ended."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import structlog

from cyclades.config import Settings
from cyclades.store.database import Database
from cyclades.store.housekeeping import KINDS, Kind, forget

EVERY = 300.0  # seconds
# After each batch nothing is done for so many times as long as it took: the more others do, the less we.
_REST = 4.0

log = structlog.get_logger("cyclades.housekeeping")


async def keep_house(db: Database, settings: Settings) -> None:
    """Until cancelled. Several processes may do it at once."""
    while True:
        for kind in KINDS:
            try:
                if gone := await forget_all(db, settings, kind):
                    log.info("housekeeping", forgotten=kind.table.name, rows=gone)
            except Exception:
                log.exception("housekeeping", table=kind.table.name)
        await asyncio.sleep(EVERY)


async def forget_all(db: Database, settings: Settings, kind: Kind) -> int:
    """All rows of one kind that are old enough; returns how many went."""
    gone, place = 0, None
    while True:
        begun = time.monotonic()
        batch = await db.write(partial(forget, settings=settings, kind=kind, after=place))
        gone, place = gone + batch.gone, batch.last
        if place is None:
            return gone
        await asyncio.sleep(_REST * (time.monotonic() - begun))
