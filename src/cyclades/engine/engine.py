"""The engine: claims operations under a lease and brings each to its end.

Any number of engines may share a database. An engine that dies leaves its leases to run out, and another
goes on at the step that was recorded last. A lease that runs out does not stop the engine that held it:
steps bear running twice, and what it records then is refused by the lease's token.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

import msgspec
import structlog
from sqlalchemy import Row
from structlog.contextvars import bind_contextvars

from cyclades.engine.presence import own_id
from cyclades.model.errors import Away, Failed, Fault, Passing
from cyclades.monitoring.metrics import Metrics
from cyclades.operations.base import CANCELLED, Operation, Step, Work, World, registry
from cyclades.store import messages
from cyclades.store import operations as rows
from cyclades.store.schema import now

PASSING_TRIES = 12  # of a step that says "may work in a moment": about two minutes with the pauses below
UNEXPECTED_TRIES = 3  # of a step that raised what no step should
_LATE = 60.0  # seconds after the time of its next look at the table when an engine no longer counts as alive
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0  # seconds between tries, doubled each time

log = structlog.get_logger("cyclades.engine")

Phase = Literal["before", "after", "recorded"]
# Called around each step, for the crash harness: (phase, work, step name, direction).
Watch = Callable[[Phase, Work[Any], str, str], Awaitable[None]]


class Engine:
    """`alone` says that no other engine can be alive on this database (SQLite with its directory locked):
    leases that a dead one left are then taken at once. `lease`, `concurrency` and `idle` are the settings' unless
    they are given."""

    def __init__(
        self,
        world: World,
        *,
        alone: bool = False,
        lease: float | None = None,
        concurrency: int | None = None,
        idle: float | None = None,
        first_pause: float = FIRST_PAUSE,
        watch: Watch | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.world = world
        self.owner = own_id()
        self._alone = alone
        settings = world.settings.engine
        self._lease = settings.lease_seconds if lease is None else lease
        self._concurrency = settings.concurrency if concurrency is None else concurrency
        self._idle = settings.idle_seconds if idle is None else idle
        self._first_pause = first_pause
        self._watch = watch
        self.metrics = metrics
        self._wake = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._claim: asyncio.Future[list[Row[Any]]] | None = None
        self._died: BaseException | None = None
        self._looked_at = time.monotonic()

    def lives(self) -> bool:
        """Whether it has looked at the table as it should."""
        return time.monotonic() - self._looked_at < self._idle + _LATE

    def wake(self) -> None:
        """Look at the table now."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled. Operations in the middle of a step are left to another engine, which may have them
        at once."""
        if self._alone:
            await self.world.db.write(rows.free)
        end_listening = self.world.db.listen("operations", self.wake)
        heart = asyncio.create_task(self._heartbeat())
        try:
            while self._died is None:
                self._wake.clear()
                try:
                    await self._take()
                    pause = await self._pause()
                    self._looked_at = time.monotonic()
                except Exception:
                    log.exception("engine.database")
                    pause = 1.0
                # Not `wait_for`, which can swallow a cancellation that comes together with the wake-up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
        finally:
            end_listening()
            heart.cancel()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(heart, *self._tasks.values(), return_exceptions=True)
            if self._died is None:
                await self._let_go()
        if self._died is not None:
            raise self._died

    async def _let_go(self) -> None:
        """Of every lease, also of those that a claim under way still brings."""
        try:
            if self._claim is not None:
                await asyncio.wait([self._claim])
            await self.world.db.write(lambda tx: rows.free(tx, self.owner))
        except Exception:
            log.exception("engine.let-go")  # then they run out

    async def drained(self) -> None:
        """Wait until none of the operations that this engine has claimed is being worked on."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _take(self) -> None:
        room = self._concurrency - len(self._tasks)
        if room <= 0:
            return
        lease = int(self._lease * 1_000_000)
        claim = partial(rows.claim, owner=self.owner, most=room, lease=lease)
        # Shielded: a claim that commits although nobody waits for it any more would hold its operations back.
        self._claim = asyncio.ensure_future(self.world.db.write(claim))
        for row in await asyncio.shield(self._claim):
            # A task for the same operation may still be at work if its lease ran out: steps bear that.
            task = asyncio.create_task(self._drive(row), name=f"{row.kind}:{row.id}")
            self._tasks[f"{row.id}:{row.lease_token}"] = task
            task.add_done_callback(self._ended)

    async def _pause(self) -> float:
        if len(self._tasks) >= self._concurrency:
            return self._idle
        due = await self.world.db.read(rows.next_due)
        return self._idle if due is None else min(max((due - now()) / 1_000_000, 0.01), self._idle)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks = {key: other for key, other in self._tasks.items() if other is not task}
        self.wake()
        if task.cancelled():
            return
        self._died = task.exception() or self._died

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            ids = [key.split(":")[0] for key in self._tasks]
            if not ids:
                continue
            try:
                lease = int(self._lease * 1_000_000)
                await self.world.db.write(partial(rows.renew, owner=self.owner, ids=ids, lease=lease))
            except Exception:
                log.exception("engine.heartbeat")

    # --- one operation ----------------------------------------------------------------------------

    async def _drive(self, row: Row[Any]) -> None:
        """In a task of its own, so that every line that is logged meanwhile, here and in pools and backends, says whose
        it is."""
        bind_contextvars(
            operation=row.id,
            kind=row.kind,
            request_id=row.request_id,
            project=row.project_id,
            resource=f"{row.resource_kind} {row.resource_id}",
        )
        try:
            await self._run(row)
        except rows.LeaseLost:
            log.info("operation.lease-lost")
        except Exception:
            # Not a step's failure (those are handled) but our own, or the database's: the lease runs out
            # and the operation is taken up again.
            log.exception("engine.drive")

    async def _run(self, row: Row[Any]) -> None:
        operation = registry()[row.kind]
        work = Work(
            id=row.id,
            kind=row.kind,
            args=msgspec.convert(row.args, operation.args),
            data=dict(row.data),
            project_id=row.project_id,
            user_id=row.user_id,
            request_id=row.request_id,
            token=row.lease_token,
            world=self.world,
        )
        await _Run(self, operation, work, row).to_the_end()

    async def watch(self, phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        if self._watch is not None:
            await self._watch(phase, work, step, direction)

    def pause_after(self, attempts: int) -> float:
        """Seconds until the next try: doubled each time, a little at random so that tries spread."""
        pause: float = min(self._first_pause * 2 ** min(attempts, 16), LONGEST_PAUSE)
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 (not for secrets)


class _PutOff(Exception):
    """The operation was put back, to be claimed again later."""


class _Run:
    """One claimed operation on its way: forward through its steps, or back through their undos."""

    def __init__(self, engine: Engine, operation: Operation[Any], work: Work[Any], row: Row[Any]) -> None:
        self.engine, self.operation, self.work = engine, operation, work
        self.db = work.world.db
        self.step: int = row.step
        self.attempts: int = row.attempts
        self.asked_at: int = row.created_at
        self.direction: str = row.direction
        self.reason: str | None = row.reason if row.direction == "back" else None

    async def to_the_end(self) -> None:
        try:
            if self.direction == "forward":
                await self._forward()
            if self.direction == "back":
                await self._back()
        except _PutOff:
            return

    async def _forward(self) -> None:
        steps = self.operation.steps
        while self.step < len(steps):
            if await self._is_cancelled():
                return await self._turn_back(CANCELLED)
            step = steps[self.step]
            try:
                await self._try(step.name, step.do, "forward")
            except Fault as fault:
                if not self.operation.can_undo(self.step):
                    return await self._give_up(str(fault))
                return await self._turn_back(str(fault))
            if self.step + 1 < len(steps):
                await self._record(step, self.step + 1)
            else:
                self.step += 1
        await self._end("done", None, lambda tx: self.operation.done(tx, self.work))
        log.info("operation.done")
        return None

    async def _back(self) -> None:
        while self.step >= 0:
            step = self.operation.steps[self.step]
            if step.undo is not None:
                try:
                    await self._try(step.name, step.undo, "back")
                except Fault as fault:
                    log.error("operation.undo-failed", reason=str(fault))
                    self.reason = f"{self.reason} (Step {step.name} could not be undone: {fault})"
            await self._record(step, self.step - 1)
        await self._give_up(self.reason or "Failed for an unknown reason.")

    async def _try(self, name: str, function: Callable[[Work[Any]], Awaitable[None]], direction: str) -> None:
        """Run a step or an undo; put the operation off where another try may work, raise `Fault` where not."""
        self.work.enter(name, direction)
        bind_contextvars(step=name)
        begun, outcome = time.monotonic(), "left"
        try:
            await self.engine.watch("before", self.work, name, direction)
            await function(self.work)
            await self.engine.watch("after", self.work, name, direction)
            outcome = "done"
            log.debug("operation.step", direction=direction)
        except rows.LeaseLost:
            raise
        except Away as fault:
            outcome = "put-off"
            # Not counted against the tries of a step that is merely busy.
            self.attempts = min(self.attempts, PASSING_TRIES // 2)
            await self._put_off(str(fault))
        except Passing as fault:
            outcome = "put-off"
            if self.attempts + 1 >= PASSING_TRIES:
                raise Failed(str(fault)) from fault
            await self._put_off(str(fault))
        except Fault:
            outcome = "failed"
            raise
        except Exception as error:
            outcome = "unexpected"
            log.exception("operation.unexpected", direction=direction)
            reason = f"An internal error; operation {self.work.id} has the details in the log."
            if self.attempts + 1 >= UNEXPECTED_TRIES:
                raise Failed(reason) from error
            await self._put_off(reason)
        finally:
            if self.engine.metrics is not None:
                self.engine.metrics.step(self.work.kind, name, direction, outcome, time.monotonic() - begun)

    async def _put_off(self, reason: str) -> None:
        pause = self.engine.pause_after(self.attempts)
        log.info("operation.put-off", attempts=self.attempts + 1, reason=reason, seconds=pause)
        values: dict[str, Any] = {"attempts": self.attempts + 1, "step": self.step}
        if self.direction == "forward":
            values["reason"] = reason
        await self.db.write(lambda tx: rows.put_off(tx, self.work.id, self.work.token, seconds=pause, **values))
        raise _PutOff

    async def _record(self, step: Step[Any], next_step: int) -> None:
        values = {"step": next_step, "attempts": 0, "progress": 0.0, "reason": self.reason, "data": self.work.data}
        await self.db.write(lambda tx: rows.record(tx, self.work.id, self.work.token, **values))
        self.step, self.attempts = next_step, 0
        await self.engine.watch("recorded", self.work, step.name, self.direction)

    async def _turn_back(self, reason: str) -> None:
        log.warning("operation.turns-back", step=self.operation.steps[self.step].name, reason=reason)
        self.direction, self.reason, self.attempts = "back", reason, 0
        values = {"direction": "back", "reason": reason, "attempts": 0, "step": self.step, "data": self.work.data}
        await self.db.write(lambda tx: rows.record(tx, self.work.id, self.work.token, **values))

    async def _is_cancelled(self) -> bool:
        if not self.operation.can_undo(self.step):
            return False
        row = await self.db.read(lambda tx: rows.get(tx, self.work.id))
        return row is not None and row.cancelled

    async def _give_up(self, reason: str) -> None:
        def failed(tx: Any) -> None:
            self.operation.failed(tx, self.work, reason)
            messages.tell(tx, self.work.id, reason)

        log.error("operation.failed", reason=reason)
        await self._end("failed", reason, failed)

    async def _end(self, state: str, reason: str | None, write: Callable[[Any], None]) -> None:
        def end(tx: Any) -> None:
            rows.end(tx, self.work.id, self.work.token, state=state, reason=reason)
            write(tx)

        await self.db.write(end)
        self.direction = "ended"
        if self.engine.metrics is not None:
            self.engine.metrics.operation(self.work.kind, state, (now() - self.asked_at) / 1_000_000)
        await self.engine.watch("recorded", self.work, "end", state)
