"""Whether a process can work: its database answers and has the right tables, there are keys, its engine lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from cyclades.security.keys import KeyFileError, Keys
from cyclades.store import revisions
from cyclades.store.database import Database

FRESH = 1.0  # seconds that an answer is given again, however many ask
_PATIENCE = 5.0  # seconds that the database is waited for

log = structlog.get_logger("cyclades.readiness")


class Readiness:
    """`engine_lives` is None for a process without an engine. Nobody is made to wait for longer than a few seconds, and
    there is one question to the database at a time."""

    def __init__(self, db: Database, keys: Keys, engine_lives: Callable[[], bool] | None = None) -> None:
        self._db, self._keys, self._engine_lives = db, keys, engine_lives
        self._looked_at = -FRESH
        self._problem: str | None = None  # the database's
        self._asking: asyncio.Task[None] | None = None

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """An HTTP status, 200 or 503, and JSON: `status`, and what is not ready and why in `problems`."""
        problems = await self.problems()
        return (503, {"status": "not ready", "problems": problems}) if problems else (200, {"status": "ready"})

    async def problems(self) -> dict[str, str]:
        """What is not ready, and why, in words that anybody may read."""
        found = {"database": await self._of_database(), "keys": self._of_keys(), "engine": self._of_engine()}
        return {name: problem for name, problem in found.items() if problem is not None}

    async def _of_database(self) -> str | None:
        if time.monotonic() - self._looked_at < FRESH:
            return self._problem
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait([self._asking], timeout=_PATIENCE)
        if not done:
            # Who comes now is told so at once, until it answers.
            self._problem, self._looked_at = "It does not answer.", time.monotonic()
        return self._problem

    async def _ask(self) -> None:
        try:
            found, newest = await self._db.read(revisions.revision), revisions.newest()
        except Exception as error:
            log.warning("readiness.database", reason=str(error))
            self._problem = "It cannot be used; the log says why."
        else:
            right = found == newest
            self._problem = None if right else f"Its tables are at {found}, this version needs {newest}."
        self._looked_at = time.monotonic()

    def _of_keys(self) -> str | None:
        try:
            self._keys.current("tokens")
            self._keys.current("secrets")
        except KeyFileError:
            return "There is none that can be used to sign tokens, or to seal secrets."
        return None

    def _of_engine(self) -> str | None:
        if self._engine_lives is None or self._engine_lives():
            return None
        return "It has not looked for work for too long."
