"""A server's QEMU is killed at each moment of each operation during which one runs: around every step, and around every
command that QEMU is given. Whatever the operation then comes to, nothing is stuck, and the server can go on.

`CYCLADES_CRASH_CASES=all` tries every moment, other runs try some of them (`tests/crash_cases.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests import crash_cases
from tests.backends.ground import until
from tests.crash.scenarios import SCENARIOS
from tests.crash.stage import LIMIT, Stage, stage
from tests.crash.test_crash import kind_of
from tests.databases import empty
from tests.processes import guests

from cyclades.backends.local.qmp import Monitor
from cyclades.engine import news
from cyclades.engine.engine import Engine, Phase
from cyclades.model.errors import Passing
from cyclades.operations import server_start
from cyclades.operations.base import Work
from cyclades.store import schema
from cyclades.store.database import Database

_SHORT = 0.001  # seconds: a QEMU is to be killed before it can be spoken to
SOME = 3  # moments of an operation that a run tries if it does not try all


class Moments:
    """What an operation comes by, in order. At the one of the number `deadly` every QEMU is killed; if none runs then,
    the next one is, as soon as it does."""

    def __init__(self, stage: Stage, op_id: str, *, deadly: int | None) -> None:
        self._data, self._op_id, self._deadly = stage.settings.data, op_id, deadly
        self.names: list[str] = []
        self.with_qemu = False
        self._waiting: asyncio.Task[None] | None = None

    async def watch(self, phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        if work.id == self._op_id:
            await self._pass(f"{step} {direction}: {phase}")

    async def command(self, name: str, phase: str) -> None:
        """The engine's task is named after the operation."""
        task = asyncio.current_task()
        if task is not None and task.get_name().endswith(self._op_id):
            await self._pass(f"{name}: {phase}")

    async def _pass(self, name: str) -> None:
        if len(self.names) == self._deadly and not await self._kill():
            self._waiting = asyncio.create_task(self._kill_the_next())
        self.names.append(name)
        self.with_qemu |= bool(guests(self._data))

    async def _kill(self) -> bool:
        """Returns when they are dead; False if none was alive."""
        found = guests(self._data)
        for pid in found.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until(lambda: not found.items() & guests(self._data).items(), pause=_SHORT)
        return bool(found)

    async def _kill_the_next(self) -> None:
        await until(lambda: guests(self._data), pause=_SHORT)
        await self._kill()

    def end(self) -> None:
        """Nothing is killed any more."""
        if self._waiting is not None:
            self._waiting.cancel()


@contextlib.contextmanager
def around_commands(told: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Inside, `told` learns of every command before QEMU is given it, and when it has answered."""
    command = Monitor.command

    async def telling(self: Monitor, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        await told(name, "asked")
        answer = await command(self, name, arguments)
        await told(name, "answered")
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "command", telling)
        yield


@asynccontextmanager
async def serving(stage: Stage, moments: Moments) -> AsyncIterator[asyncio.Task[None]]:
    """As a process does it: an engine works, and what happens by itself is followed. Yields the engine's task."""
    engine = Engine(stage.world, alone=True, first_pause=0.005, watch=moments.watch)
    tasks = [asyncio.create_task(engine.run())]
    tasks += [asyncio.create_task(news.follow(stage.world, backend)) for backend in stage.world.backends.values()]
    try:
        yield tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_settled(stage: Stage, engine: asyncio.Task[None]) -> None:
    """Wait until nothing is under way, and all is as it should be."""
    found: list[str] = []
    try:
        async with asyncio.timeout(LIMIT):
            while True:
                await stage.until_ended(engine)
                # One that dies while it is looked at cannot be reached.
                with contextlib.suppress(Passing):
                    found = await stage.differences()
                    if not found:
                        return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it stays so: {found}") from None


@dataclass(frozen=True)
class Seen:
    """Of one run: the moments that the operation came by, none of them if no QEMU ran at any; and what then was in
    error, which is what somebody wanted, or a server that did not come to be."""

    moments: list[str]
    errors: list[str]


async def run(stage: Stage, scenario: str, deadly: int | None, monkeypatch: pytest.MonkeyPatch) -> Seen:
    op_id = await SCENARIOS[scenario](stage)
    moments = Moments(stage, op_id, deadly=deadly)
    with around_commands(moments.command, monkeypatch):
        async with serving(stage, moments) as engine:
            await until_settled(stage, engine)
            moments.end()
            errors = await _errors(stage)
            await _servers_go_on(stage, engine)
    await stage.clear()
    return Seen(moments.names if moments.with_qemu else [], errors)


async def _errors(stage: Stage) -> list[str]:
    found: list[str] = []
    for table in (schema.volume, schema.snapshot, schema.image, schema.server):
        statuses = await stage.db.read(lambda tx, table=table: list(tx.execute(sa.select(table.c.status)).scalars()))  # type: ignore[misc]
        found += [f"{table.name} in {status}" for status in statuses if status.lower().startswith("error")]
    return found


async def _servers_go_on(stage: Stage, engine: asyncio.Task[None]) -> None:
    down = sa.select(schema.server.c.id).where(schema.server.c.status == "SHUTOFF")
    for server_id in await stage.db.read(lambda tx: list(tx.execute(down).scalars())):
        await stage.db.write(lambda tx, server_id=server_id: server_start.start(tx, stage.caller, server_id))  # type: ignore[misc]
    await until_settled(stage, engine)
    assert await stage.db.read(lambda tx: list(tx.execute(down).scalars())) == []


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_killed(database: Database, tmp_path: Path, scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def once(deadly: int | None) -> Seen:
        empty(database)
        async with stage(database, tmp_path / f"cloud-{deadly}") as world:
            return await run(world, scenario, deadly, monkeypatch)

    usual = await once(None)
    may_fail = ["server in ERROR"] if kind_of(scenario) == "server_create" else []
    for number in crash_cases.some(len(usual.moments), SOME, scenario):
        try:
            seen = await once(number)
            assert seen.errors in (usual.errors, may_fail)
        except AssertionError as error:
            error.add_note(f"killed at {usual.moments[number]} (moment {number} of {len(usual.moments)})")
            raise
