"""Forgets, now and then, what is kept for a time only: events, messages, answers to repeated requests."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from cyclades.config import Settings
from cyclades.store.database import Database
from cyclades.store.housekeeping import forget_some

EVERY = 300.0  # seconds

log = structlog.get_logger("cyclades.housekeeping")


async def keep_house(db: Database, settings: Settings) -> None:
    """Until cancelled. Several processes may do it at once."""
    forget = partial(forget_some, event_seconds=settings.api.event_seconds)
    while True:
        try:
            while await db.write(forget):
                continue
        except Exception:
            log.exception("housekeeping")
        await asyncio.sleep(EVERY)
