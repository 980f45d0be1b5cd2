"""Operations on real clusters, broken at every step and between a job and the moment that its id is kept; then
database, pool, and what the clusters know are compared. tests/crash does the same, in more ways, on this machine's own
backend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests import crash_cases
from tests.crash.test_crash import Killed, Saboteur, kind_of
from tests.ganeti import scenarios, scenarios_reconcile
from tests.ganeti.cells import Cells
from tests.ganeti.scenarios import a_stopped_server
from tests.ganeti.stage import GanetiStage, ganeti_stage

from cyclades.model.errors import Refusal
from cyclades.operations import server_create, volume_create_attached, volume_detach
from cyclades.operations.base import Operation, Work, registry
from cyclades.operations.new_volume import Wanted
from cyclades.store.database import Database

SCENARIOS = scenarios.SCENARIOS | scenarios_reconcile.SCENARIOS
MODES = ("fail-after", "kill-before", "kill-after", "kill-sent")


# Steps that do nothing in a cluster (here: `let_go` finds no disk there): tests/crash has them.
_ELSEWHERE = {"let_go", "make_disks", "make_disk", "claim", "release", "wait", "part", "delete_disks"}


def cases() -> list[tuple[str, str, str]]:
    """Scenario, step and mode of every case that this run has chosen."""
    found = []
    for scenario in SCENARIOS:
        operation = registry()[kind_of(scenario)]
        for index, step in enumerate(operation.steps):
            if step.name in _ELSEWHERE:
                continue
            found += [
                (scenario, step.name, mode) for mode in MODES if mode != "fail-after" or operation.can_undo(index)
            ]
    return [case for case in found if crash_cases.is_chosen("ganeti", "-".join(case))]


class JobSaboteur(Saboteur):
    """Besides: the process dies when a job has been sent, before its id is kept."""

    def __init__(self, operation: Operation[Any], op_id: str, step: str, mode: str, patch: pytest.MonkeyPatch) -> None:
        super().__init__(operation, op_id, step, mode)
        keep = Work.keep

        async def keep_or_die(work: Work[Any], what: str, job: str | None) -> None:
            mine = work.id == op_id and f":{step}:forward" in work.mark
            if mode == "kill-sent" and mine and not self.struck and job is not None and job.isdigit():
                self.struck = True
                raise Killed
            await keep(work, what, job)

        patch.setattr(Work, "keep", keep_or_die)

    async def _at_the_step(self, phase: Any, work: Work[Any]) -> None:
        if self.mode != "kill-sent":
            await super()._at_the_step(phase, work)


@pytest.fixture
async def stage(
    database: Database, tmp_path: Path, cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[GanetiStage]:
    monkeypatch.setattr(server_create, "_require_bootable", lambda _: None)  # see `scenarios._asked`
    async with ganeti_stage(database, tmp_path / "cloud", cells) as stage:
        yield stage


@pytest.mark.parametrize(("scenario", "step", "mode"), cases())
async def test_broken(stage: GanetiStage, monkeypatch: pytest.MonkeyPatch, scenario: str, step: str, mode: str) -> None:
    op_id = await SCENARIOS[scenario](stage)
    saboteur = JobSaboteur(registry()[kind_of(scenario)], op_id, step, mode, monkeypatch)
    for _ in range(10):
        try:
            await stage.settle(saboteur.watch)
        except Killed:
            continue
        break
    if not saboteur.struck:
        assert mode == "kill-sent", "nothing was broken"
        pytest.skip("this step has no job that its operation's trail leads to")
    row = await stage.operation(op_id)
    assert row.state == ("failed" if mode == "fail-after" else "done"), row.reason
    assert await stage.differences() == []
    await stage.clear()


async def test_what_lives_on_its_server_is_not_detached(stage: GanetiStage) -> None:
    server_id, wanted = await a_stopped_server(stage, "file"), Wanted(size=1, type="file")
    volume_id = await stage.do(
        lambda tx: volume_create_attached.start(tx, stage.caller, stage.settings, wanted, server_id)
    )
    with pytest.raises(Refusal, match="cannot be detached"):
        await stage.db.write(lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))
    await stage.clear()
