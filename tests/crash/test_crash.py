"""Every operation, broken in every way at every step; then database, pool, backend and quota are compared.

A new operation is in it by being in the registry; what it needs is a scenario. `conftest.py` says which cases
run on which database.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.crash import scenarios_reconcile
from tests.crash.scenarios import SCENARIOS
from tests.crash.stage import LIMIT, Stage, stage

from cyclades.engine.engine import Engine, Phase
from cyclades.model.errors import Failed, Passing
from cyclades.operations.base import Operation, Work, registry
from cyclades.reconcile.difference import FIXES
from cyclades.store import operations as rows
from cyclades.store.database import Database

MODES = (
    "fail-before",
    "fail-after",
    "passing",
    "kill-before",
    "kill-after",
    "kill-recorded",
    "twice",
    "two-engines",
    "undo-twice",
    "undo-killed",
)


class Killed(BaseException):
    """The process is gone: nothing after this runs."""


def kind_of(scenario: str) -> str:
    return scenario.partition(":")[0]


def cases() -> list[tuple[str, str, str]]:
    """Scenario, step and mode of every case."""
    found = []
    for scenario in SCENARIOS:
        operation = registry()[kind_of(scenario)]
        for index, step in enumerate(operation.steps):
            for mode in MODES:
                if mode.startswith("undo") and not operation.can_undo(index):
                    continue
                if mode == "kill-recorded" and index + 1 == len(operation.steps):
                    continue  # the last step is recorded together with the end
                found.append((scenario, step.name, mode))
    return found


# What no backend on this machine does: tests/ganeti has their scenarios.
IN_CLUSTERS_ALONE = {"volume_remove"}


def test_every_operation_has_a_scenario() -> None:
    assert {kind_of(name) for name in SCENARIOS} | IN_CLUSTERS_ALONE == set(registry())


class Saboteur:
    """Breaks one step, once, in one way."""

    def __init__(self, operation: Operation[Any], op_id: str, step: str, mode: str) -> None:
        self.operation, self.op_id, self.step, self.mode = operation, op_id, step, mode
        self.struck = False
        self.repeated: set[str] = set()

    async def watch(self, phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        if work.id != self.op_id:
            return
        if direction == "back":
            await self._going_back(phase, work, step)
        elif step == self.step and not self.struck:
            await self._at_the_step(phase, work)

    async def _at_the_step(self, phase: Phase, work: Work[Any]) -> None:
        when = {"fail-before": "before", "kill-before": "before", "passing": "after", "kill-recorded": "recorded"}
        if phase != when.get(self.mode, "after"):
            return
        self.struck = True
        if self.mode == "twice":
            await self._step(self.step).do(work)
        elif self.mode.startswith("kill"):
            raise Killed
        elif self.mode == "passing":
            raise Passing("in a moment")
        else:
            raise Failed("broken on purpose")

    async def _going_back(self, phase: Phase, work: Work[Any], step: str) -> None:
        if phase != "after" or step in self.repeated:
            return
        self.repeated.add(step)
        if self.mode == "undo-twice":
            undo = self._step(step).undo
            assert undo is not None
            await undo(work)
        elif self.mode == "undo-killed":
            raise Killed

    def _step(self, name: str) -> Any:
        return next(step for step in self.operation.steps if step.name == name)


@pytest.mark.parametrize(("scenario", "step", "mode"), cases())
async def test_broken(database: Database, tmp_path: Path, scenario: str, step: str, mode: str) -> None:
    async with stage(database, tmp_path / "cloud") as world:
        await play(world, scenario, step, mode)


async def play(world: Stage, scenario: str, step: str, mode: str) -> None:
    """One case, from an empty stage to an empty stage."""
    op_id = await SCENARIOS[scenario](world)
    operation = registry()[kind_of(scenario)]
    saboteur = Saboteur(operation, op_id, step, mode)
    if mode == "two-engines":
        await _on_two_engines(world, op_id, step)
    else:
        await _to_the_end(world, saboteur)
        assert saboteur.struck
    row = await world.operation(op_id)
    fails = mode in ("fail-before", "fail-after", "undo-twice", "undo-killed")
    assert row.state == ("failed" if fails else "done"), row.reason
    if fails and operation.kind in scenarios_reconcile.MENDING:
        await scenarios_reconcile.mend(world, FIXES)
    assert await world.differences() == []
    await world.clear()


async def _to_the_end(world: Stage, saboteur: Saboteur) -> None:
    """Run engines until the operation has ended: after each one that is killed, a new one."""
    for _ in range(10):
        try:
            await world.settle(saboteur.watch)
        except Killed:
            continue
        return
    raise AssertionError("killed again and again")


async def _on_two_engines(world: Stage, op_id: str, step: str) -> None:
    """The first engine's lease runs out in front of the step; a second one claims it, and both do it at once."""
    first_is_there, second_is_there = asyncio.Event(), asyncio.Event()

    async def first_waits(phase: Phase, work: Work[Any], name: str, direction: str) -> None:
        if (work.id, name, phase) == (op_id, step, "before") and not first_is_there.is_set():
            first_is_there.set()
            await second_is_there.wait()

    async def second_meets(phase: Phase, work: Work[Any], name: str, direction: str) -> None:
        if (work.id, name, phase) == (op_id, step, "before"):
            second_is_there.set()

    # With no room for another, it does not take back what it waits with: the second one is to get it.
    first = Engine(world.world, first_pause=0.005, concurrency=1, watch=first_waits)
    second = Engine(world.world, first_pause=0.005, watch=second_meets)
    tasks = [asyncio.create_task(first.run())]
    try:
        async with asyncio.timeout(LIMIT):
            await first_is_there.wait()
            await world.db.write(rows.free)  # as if its time had passed
            tasks.append(asyncio.create_task(second.run()))
            await world.until_ended(*tasks)
            await first.drained()
            await second.drained()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
