"""The engine alone, with operations made for the purpose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from prometheus_client import generate_latest
from structlog.testing import capture_logs
from tests.monitoring.figures import samples, value

from cyclades.config import load
from cyclades.engine import engine as module
from cyclades.engine import wake
from cyclades.engine.engine import PASSING_TRIES, UNEXPECTED_TRIES, Engine
from cyclades.model.caller import Caller
from cyclades.model.errors import Away, Failed, Passing
from cyclades.monitoring.metrics import Metrics
from cyclades.operations.base import Operation, Step, Work, World, new_id, submit
from cyclades.store import operations as rows
from cyclades.store import schema
from cyclades.store.database import Database

CALLER = Caller("u" * 32, "p" * 32, frozenset({"member"}), "req-1")
LIMIT = 60.0


class Args(msgspec.Struct):
    name: str = ""


class Script:
    """What the steps of the operation `script` do, and what has been done so far."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.on: dict[str, list[BaseException | Awaitable[None]]] = {}

    def step(self, name: str, *, final: bool = False) -> Step[Args]:
        return Step(name, self._does(name), self._does(f"undo {name}"), final=final)

    def _does(self, name: str) -> Callable[[Work[Args]], Awaitable[None]]:
        async def do(work: Work[Args]) -> None:
            self.log.append(name)
            if self.on.get(name):
                what = self.on[name].pop(0)
                if isinstance(what, BaseException):
                    raise what
                await what

        return do

    def operation(self, *steps: Step[Args]) -> Operation[Args]:
        return Operation(
            kind="script",
            args=Args,
            steps=steps,
            done=lambda tx, work: self.log.append("done"),
            failed=lambda tx, work, reason: self.log.append(f"failed: {reason}"),
        )


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    made = Script()
    operation = made.operation(made.step("one"), made.step("two"))
    monkeypatch.setattr(module, "registry", lambda: {"script": operation})
    return made


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, load(None, {}, data=str(tmp_path)), {}, {})


async def begin(world: World, operation: Any = None) -> str:
    op_id = new_id()
    operation = operation or Script().operation()  # only its kind matters
    await world.db.write(
        lambda tx: submit(tx, CALLER, operation, Args(), resource_kind="volume", resource_id=op_id, op_id=op_id)
    )
    return op_id


@contextlib.asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    task = asyncio.create_task(engine.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ended(world: World, op_id: str) -> Any:
    event = asyncio.Event()
    stop = world.db.listen("ended", event.set)
    try:
        async with asyncio.timeout(LIMIT):
            while (row := await world.db.read(lambda tx: rows.get(tx, op_id))).ended_at is None:  # type: ignore[union-attr]
                await event.wait()
                event.clear()
        return row
    finally:
        stop()


async def test_steps_run_in_order_and_the_end_is_written(world: World, script: Script) -> None:
    async with running(Engine(world)):
        row = await ended(world, await begin(world))
    assert row.state == "done"
    assert script.log == ["one", "two", "done"]


async def test_a_failure_undoes_backwards_and_leaves_a_message(world: World, script: Script) -> None:
    script.on["two"] = [Failed("the disk is on fire")]
    async with running(Engine(world)):
        op_id = await begin(world)
        row = await ended(world, op_id)
    assert (row.state, row.reason) == ("failed", "the disk is on fire")
    assert script.log == ["one", "two", "undo two", "undo one", "failed: the disk is on fire"]
    texts = await world.db.read(lambda tx: tx.execute(schema.message.select()).all())
    assert [(row.resource_id, row.text) for row in texts] == [(op_id, "the disk is on fire")]


async def test_what_may_pass_is_tried_again_within_a_limit(world: World, script: Script) -> None:
    script.on["one"] = [Passing("busy")] * 3
    async with running(Engine(world, first_pause=0.001)):
        assert (await ended(world, await begin(world))).state == "done"
        assert script.log.count("one") == 4
        script.on["one"] = [Passing("busy")] * PASSING_TRIES
        row = await ended(world, await begin(world))
    assert (row.state, row.reason) == ("failed", "busy")


async def test_what_is_away_is_waited_for_without_a_limit(world: World, script: Script, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.002)
    script.on["one"] = [Away("the cluster is down")] * (PASSING_TRIES * 3)
    async with running(Engine(world, first_pause=0.001)):
        assert (await ended(world, await begin(world))).state == "done"


async def test_an_unexpected_error_is_tried_again_then_undone(world: World, script: Script) -> None:
    script.on["two"] = [ZeroDivisionError()] * UNEXPECTED_TRIES
    async with running(Engine(world, first_pause=0.001)):
        op_id = await begin(world)
        row = await ended(world, op_id)
    assert row.state == "failed"
    assert op_id in row.reason
    assert "ZeroDivision" not in row.reason
    assert script.log.count("two") == UNEXPECTED_TRIES


async def test_an_undo_that_fails_does_not_stop_the_others(world: World, script: Script) -> None:
    script.on["two"] = [Failed("no")]
    script.on["undo two"] = [Failed("stuck")]
    async with running(Engine(world)):
        row = await ended(world, await begin(world))
    assert "undo one" in script.log
    assert row.reason == "no (Step two could not be undone: stuck)"


async def test_after_the_point_of_no_return_nothing_is_undone(
    world: World, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = script.operation(script.step("one"), script.step("gone", final=True))
    monkeypatch.setattr(module, "registry", lambda: {"script": operation})
    script.on["gone"] = [Failed("no")]
    async with running(Engine(world)):
        row = await ended(world, await begin(world, operation))
    assert row.state == "failed"
    assert script.log == ["one", "gone", "failed: no"]


async def test_cancelled_between_steps_goes_back(world: World, script: Script) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    script.on["one"] = [hold()]
    async with running(Engine(world)):
        op_id = await begin(world)
        await asyncio.wait_for(reached.wait(), LIMIT)
        await world.db.write(lambda tx: rows.cancel(tx, op_id))
        go_on.set()
        row = await ended(world, op_id)
    assert row.state == "failed"
    *undone, last = script.log
    assert undone == ["one", "undo two", "undo one"]
    assert last == "failed: Cancelled, because the resource is being deleted or reset."


async def test_a_lost_lease_drops_what_its_engine_records(world: World, script: Script) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    script.on["one"] = [hold()]
    slow, quick = Engine(world), Engine(world)
    async with running(slow):
        op_id = await begin(world)
        await asyncio.wait_for(reached.wait(), LIMIT)
        await world.db.write(rows.free)
        async with running(quick):
            row = await ended(world, op_id)
        go_on.set()
        await asyncio.wait_for(slow.drained(), LIMIT)
    assert row.state == "done"
    assert script.log == ["one", "one", "two", "done"]
    again = await world.db.read(lambda tx: rows.get(tx, op_id))
    assert again == row


async def test_an_engine_that_stops_lets_go_at_once(world: World, script: Script) -> None:
    """Its leases would otherwise hold back what another engine could go on with."""
    reached = asyncio.Event()

    async def hold() -> None:
        reached.set()
        await asyncio.Event().wait()

    script.on["one"] = [hold()]
    async with running(Engine(world, lease=10 * LIMIT)):
        op_id = await begin(world)
        await asyncio.wait_for(reached.wait(), LIMIT)
    async with running(Engine(world)):
        assert (await ended(world, op_id)).state == "done"
    assert script.log == ["one", "one", "two", "done"]


async def test_the_heartbeat_keeps_a_long_step(world: World, script: Script) -> None:
    """A second engine does not take what the first one is still at, though the lease is far shorter."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    script.on["one"] = [hold()]
    async with running(Engine(world, lease=1.5)), running(Engine(world, lease=1.5)):
        op_id = await begin(world)
        await asyncio.wait_for(reached.wait(), LIMIT)
        first = (await world.db.read(lambda tx: rows.get(tx, op_id))).lease_until  # type: ignore[union-attr]
        async with asyncio.timeout(LIMIT):
            while schema.now() < first + 1_000_000:  # noqa: ASYNC110 (only time can prove it)
                await asyncio.sleep(0.1)
        go_on.set()
        await ended(world, op_id)
    assert script.log == ["one", "two", "done"]


async def test_two_engines_share_the_work(world: World, script: Script) -> None:
    async with running(Engine(world, concurrency=2)), running(Engine(world, concurrency=2)):
        ids = await asyncio.gather(*(begin(world) for _ in range(20)))
        for op_id in ids:
            assert (await ended(world, op_id)).state == "done"
    assert script.log.count("one") == 20


async def test_work_of_another_process_wakes_the_engine(world: World, script: Script) -> None:
    """Without the wake-up this would wait for the next look, which here never comes."""
    data = world.settings.data / ("d" * 150)  # longer than the path of a socket may be
    data.mkdir()
    other = Database(world.db.url.render_as_string(hide_password=False))
    elsewhere = World(other, world.settings, {}, {})
    try:
        async with wake.hearing(world.db, data), running(Engine(world, idle=10 * LIMIT)):
            if not world.db.is_sqlite:
                await _listening(world.db)
            op_id = await begin(elsewhere)
            if world.db.is_sqlite:
                async with asyncio.timeout(LIMIT):
                    while not wake.tell(data, "operations"):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            assert (await ended(world, op_id)).state == "done"
    finally:
        other.close()


async def _listening(db: Database) -> None:
    """Wait until a backend of this database has run LISTEN: its first signal says so."""
    event = asyncio.Event()
    stop = db.listen("operations", event.set)
    await asyncio.wait_for(event.wait(), LIMIT)
    stop()


def test_telling_nobody_says_so(tmp_path: Path) -> None:
    assert wake.tell(tmp_path, "operations") is False


async def test_each_line_says_whose_it_is_also_in_the_engine_that_takes_over(world: World, script: Script) -> None:
    begun, forever = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        begun.set()
        await forever.wait()

    script.on["one"] = [hangs()]
    script.on["two"] = [Passing("not yet"), RuntimeError("a defect"), Failed("for good")]
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        async with running(Engine(world, first_pause=0.01)):
            op_id = await begin(world)
            async with asyncio.timeout(LIMIT):
                await begun.wait()
        async with running(Engine(world, first_pause=0.01)):
            await ended(world, op_id)
    mine = [line for line in lines if line["event"].startswith("operation.")]
    events = {"operation.step", "operation.put-off", "operation.unexpected", "operation.turns-back", "operation.failed"}
    assert {line["event"] for line in mine} == events
    for line in mine:
        assert (line["operation"], line["request_id"], line["kind"]) == (op_id, CALLER.request_id, "script")
        assert (line["project"], line["resource"]) == (CALLER.project_id, f"volume {op_id}")
    assert {line["step"] for line in mine} == {"one", "two"}


async def test_an_engine_that_cannot_look_for_work_does_not_live(
    world: World, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(world, idle=0.01)
    async with running(engine):
        await ended(world, await begin(world))
        assert engine.lives()

        tries, again = 0, asyncio.Event()

        async def broken(change: object) -> None:
            nonlocal tries
            tries += 1
            if tries == 2:
                again.set()
            raise RuntimeError("no database")

        monkeypatch.setattr(module, "_LATE", 0.0)
        monkeypatch.setattr(world.db, "write", broken)
        engine.wake()
        async with asyncio.timeout(LIMIT):
            await again.wait()
        assert not engine.lives()
        monkeypatch.undo()


async def test_steps_and_ends_are_counted(world: World, script: Script) -> None:
    script.on["two"] = [Passing("not yet"), Failed("for good")]
    metrics = Metrics(world.db)
    async with running(Engine(world, first_pause=0.01, metrics=metrics)):
        await ended(world, await begin(world))
        script.log.clear()
        await ended(world, await begin(world))
    found = samples(generate_latest(metrics.registry).decode())

    def steps(step: str, direction: str, outcome: str) -> float | None:
        by = {"kind": "script", "step": step, "direction": direction, "outcome": outcome}
        return value(found, "operation_step_seconds_count", **by)

    assert (steps("one", "forward", "done"), steps("one", "back", "done")) == (2, 1)
    assert [steps("two", "forward", outcome) for outcome in ("done", "put-off", "failed")] == [1, 1, 1]
    assert value(found, "operation_seconds_count", kind="script", outcome="failed") == 1
    assert value(found, "operation_seconds_count", kind="script", outcome="done") == 1
