"""What was revoked, as each process knows it, so that tokens are checked without reading the database."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog

from cyclades.model.errors import Unavailable
from cyclades.store import revocations as rows
from cyclades.store.database import Database
from cyclades.store.schema import now

if TYPE_CHECKING:
    from cyclades.security.tokens import Claims

log = structlog.get_logger("cyclades.revocations")

_LOOK_AGAIN = 2.0  # seconds; another process's revocations are known here after this at the latest
_TOO_LONG = 30.0  # seconds without a look after which nothing is believed
_FORGET_EVERY = 600.0  # seconds


class Revocations:
    """Knows what `refresh` read; `follow` keeps that up to date. Until the first of these, no token is good."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[tuple[str, str], tuple[int, int]] = {}  # newest id and expiry
        self._read_at = float("-inf")
        self.seen = 0  # the newest id; all before it are known, too

    def applies_to(self, claims: Claims) -> bool:
        """Whether a token is revoked, or `Unavailable` if that cannot be known."""
        if time.monotonic() - self._read_at > _TOO_LONG:
            raise Unavailable("revocations-unread", "What was revoked cannot be read at present; try again later.")
        subjects = [("user", claims.user_id)]
        if claims.target_id is not None:
            subjects.append(("assignment", rows.assignment_subject(claims.user_id, claims.target_id)))
        if claims.project_id is not None:
            subjects.append(("project", claims.project_id))
        if claims.credential_id is not None:
            subjects.append(("credential", claims.credential_id))
        return ("token", claims.id) in self._known or any(
            (found := self._known.get(subject)) is not None and found[0] > claims.seen for subject in subjects
        )

    async def refresh(self) -> None:
        """Learn what is new. Whoever revokes calls this after the commit: it holds here from then on."""
        begun, seen = time.monotonic(), self.seen
        for row in await self._db.read(lambda tx: rows.after(tx, seen)):
            key = (row.kind, row.subject)
            before = self._known.get(key, (0, 0))
            self._known[key] = (max(row.id, before[0]), max(row.expires_at, before[1]))
            self.seen = max(self.seen, row.id)
        self._read_at = max(self._read_at, begun)

    async def follow(self) -> None:
        """Refresh when another process signals, and every few seconds, until cancelled."""
        loop, woken, forgot_at = asyncio.get_running_loop(), asyncio.Event(), time.monotonic()

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        silence = self._db.listen(rows.SIGNAL, wake)
        try:
            while True:
                try:
                    await self.refresh()
                    if time.monotonic() - forgot_at > _FORGET_EVERY:
                        self._forget()
                        forgot_at = time.monotonic()
                except Exception as error:  # whatever is wrong with the database, it may pass
                    log.warning("revocations.unread", reason=str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN):
                        await woken.wait()
                woken.clear()
        finally:
            silence()

    def _forget(self) -> None:
        moment = now()
        self._known = {key: value for key, value in self._known.items() if value[1] > moment}
