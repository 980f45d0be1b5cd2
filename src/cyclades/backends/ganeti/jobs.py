"""Ganeti's jobs: each sent once, and followed to its end.

Ganeti cannot be told that a request is the repeat of another. So each job carries the mark of the step that wants it,
in its reason trail, and its id is kept before anybody waits for it: whoever repeats the step first asks for `earlier`
jobs. All jobs of a cluster are followed by one query, however many they are; one of them is listened to beside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import structlog

from cyclades.backends.base import Trail
from cyclades.backends.ganeti.rapi import Rapi, Unheard
from cyclades.model.errors import Away, Failed, Fault

_ASKED = "asked"  # kept in the place of an id while a job is being sent
_SETTLED = 3.0  # seconds after which a request that RAPI took in has reached the queue, if the queue can be read
_ENDED = ("success", "error", "canceled")
_UNDER_WAY = ("queued", "waiting", "running", "canceling")
_FIELDS = ["id", "status", "opresult", "oplog"]
# Seconds between looks: a part of the age of the youngest job, at least, at most, and at most when all are old; and
# where there is one job, and it is listened to.
_PART, _LEAST, _MOST, _MOST_WHEN_OLD, _OLD, _ALONE = 0.3, 0.25, 1.0, 3.0, 60.0, 5.0
_READS = 3  # that may fail before those who wait are told

log = structlog.get_logger("cyclades.ganeti")


@dataclass(frozen=True)
class Ask:
    """A request that begins a job. `query` values are strings."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One that has ended: `success`, `error`, `canceled`, or `lost` if Ganeti does not know it any more. `result` is
    that of its only opcode; `log` is what Ganeti told while it worked."""

    id: int
    status: str
    result: Any
    log: tuple[str, ...]


class Jobs:
    """Those of one cluster."""

    def __init__(self, rapi: Rapi) -> None:
        self._rapi = rapi
        self._waiting: dict[int, _Waiting] = {}
        self._more = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._hint: asyncio.Task[None] | None = None
        self._heard: int | None = None  # the job that is listened to

    async def close(self) -> None:
        """Who waits is told that the cluster is away; the jobs go on."""
        tasks = [task for task in (self._follower, self._hint) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._give_up(Away("Cyclades is shutting down."))

    async def run(self, what: str, ask: Ask, trail: Trail | None) -> Job:
        """Send a job and wait for its end. `what` tells it from the other jobs of the same step."""
        return await self.end_of(await self._send(what, ask, trail))

    async def earlier(self, what: str, trail: Trail | None) -> Job | None:
        """The end of the job that an earlier try of the step has sent, if it sent one."""
        kept = None if trail is None else trail.job(what)
        if trail is None or kept is None:
            return None
        if kept != _ASKED:
            return await self.end_of(int(kept))
        job_id = await self._in_queue(_reason(what, trail))
        await trail.keep(what, None if job_id is None else str(job_id))
        return None if job_id is None else await self.end_of(job_id)

    async def _send(self, what: str, ask: Ask, trail: Trail | None) -> int:
        if trail is None:
            return await self._rapi.submit(ask.method, ask.path, ask.body, **ask.query)
        await trail.keep(what, _ASKED)
        try:
            job_id = await self._rapi.submit(ask.method, ask.path, ask.body, **ask.query, reason=_reason(what, trail))
        except (Unheard, Failed):
            await trail.keep(what, None)
            raise
        await trail.keep(what, str(job_id))
        return job_id

    async def _in_queue(self, reason: str) -> int | None:
        """The latest job with this reason. RAPI may have taken in a request whose answer was lost, and not passed it on
        yet: so a queue that lacks the job is read once more."""
        for pause in (0.0, _SETTLED):
            await asyncio.sleep(pause)
            rows = await self._rapi.query("job", ["id", "ops"])
            found: list[int] = [job_id for job_id, ops in rows if any(_has_reason(op, reason) for op in ops or ())]
            if found:
                return max(found)
        return None

    async def settle(self, instance: str) -> None:
        """Wait for the end of all that is under way with the instance of this name, whoever sent it: an operation that
        goes back does not know what its last step has set going."""
        under_way = ["|", *(["=", "status", status] for status in _UNDER_WAY)]
        rows = await self._rapi.query("job", ["id", "ops"], under_way)
        for job_id, ops in rows:
            if any(op.get("instance_name") == instance for op in ops or ()):
                await self.end_of(job_id)

    # --- following --------------------------------------------------------------------------------

    async def end_of(self, job_id: int) -> Job:
        """Wait for the end of a job, however long it takes. `Away` if the cluster cannot be asked."""
        waiting = self._waiting.get(job_id)
        if waiting is None:
            waiting = self._waiting[job_id] = _Waiting()
            self._more.set()
        if self._follower is None or self._follower.done():
            # It serves all operations: what it logs is not of the one that came first.
            self._follower = asyncio.create_task(self._follow(), name="ganeti-jobs", context=Context())
        return await asyncio.shield(waiting.end)

    async def _follow(self) -> None:
        failures = 0
        while self._waiting:
            await self._until_next_look()
            try:
                await self._look()
                failures = 0
            except Away as away:
                failures += 1
                if failures == _READS:
                    self._give_up(away)
            except Exception as error:
                log.exception("ganeti.jobs")
                self._give_up(Away(f"What the cluster says of its jobs makes no sense: {error}."))

    async def _until_next_look(self) -> None:
        """Until it is time, or the job that is listened to has ended. A new job shortens it."""
        begun = time.monotonic()
        while (left := begun + self._pause() - time.monotonic()) > 0:
            self._more.clear()
            hint, more = self._listen(), asyncio.create_task(self._more.wait())
            done, _ = await asyncio.wait({hint, more}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            more.cancel()
            if hint in done:
                return

    def _pause(self) -> float:
        """Seconds between two looks."""
        if self._heard in self._waiting and len(self._waiting) == 1:
            return _ALONE
        age = time.monotonic() - max(one.since for one in self._waiting.values())
        return min(max(_PART * age, _LEAST), _MOST if age < _OLD else _MOST_WHEN_OLD)

    def _listen(self) -> asyncio.Task[None]:
        """Done when a job has ended, the youngest: RAPI tells of that at once, but each time of one job alone. So that
        one which is on its way by itself is not waited for longer than it takes."""
        if self._hint is None or self._hint.done():
            self._heard = max(self._waiting, key=lambda job_id: self._waiting[job_id].since)
            self._hint = asyncio.create_task(self._ended(self._heard), name="ganeti-job")
        return self._hint

    async def _ended(self, job_id: int) -> None:
        status = None
        try:
            while status not in _ENDED and job_id in self._waiting:
                before, status = status, await self._rapi.status_after(job_id, status)
                if status == before:
                    await asyncio.sleep(_LEAST)
        except Fault:
            await asyncio.sleep(_MOST)  # it is as if nobody listened

    async def _look(self) -> None:
        ids = list(self._waiting)
        for row in await self._rapi.query("job", _FIELDS, ["|", *(["=", "id", job_id] for job_id in ids)]):
            job_id, status, results, logs = row
            if status is None:
                self._end(Job(job_id, "lost", None, ()))
            elif status in _ENDED:
                lines = tuple(str(entry[3]) for entries in logs for entry in entries)
                self._end(Job(job_id, status, results[-1] if results else None, lines))

    def _end(self, job: Job) -> None:
        waiting = self._waiting.pop(job.id, None)
        if waiting is not None and not waiting.end.done():
            waiting.end.set_result(job)

    def _give_up(self, away: Away) -> None:
        for waiting in self._waiting.values():
            if not waiting.end.done():
                waiting.end.set_exception(Away(str(away)))
                waiting.end.exception()  # nobody may be waiting any more
        self._waiting.clear()


class _Waiting:
    """Somebody waits for the end of a job, `since` when it was sent, as far as we know."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.end: asyncio.Future[Job] = asyncio.get_running_loop().create_future()


def _reason(what: str, trail: Trail) -> str:
    return f"{trail.mark}:{what}"


def _has_reason(op: dict[str, Any], reason: str) -> bool:
    """Ganeti keeps who said it, what and when; and adds its own."""
    return any(entry[1] == reason for entry in op.get("reason") or ())
