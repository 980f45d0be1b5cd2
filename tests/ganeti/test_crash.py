"""Operations on real clusters, broken at every step and between a job and the moment that its id is kept; then
database, pool, and what the clusters know are compared. tests/crash does the same, in more ways, on this machine's own
backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests import crash_cases
from tests.crash.scenarios_servers import a_flavor
from tests.crash.stage import Stage
from tests.crash.test_crash import Killed, Saboteur, kind_of
from tests.ganeti.cells import Cells
from tests.ganeti.stage import GanetiStage, ganeti_stage

from cyclades.model.errors import Refusal
from cyclades.operations import (
    server_create,
    server_delete,
    server_start,
    server_stop,
    volume_attach,
    volume_create,
    volume_create_attached,
    volume_delete,
    volume_detach,
    volume_extend,
)
from cyclades.operations.base import Operation, Work, registry
from cyclades.operations.block_device import Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store.database import Database

MODES = ("fail-after", "kill-before", "kill-after", "kill-sent")


async def _begin(stage: Stage, change: Any) -> str:
    await stage.db.write(change)
    return await stage.latest_operation()


async def _asked(stage: Stage, type_name: str | None, *more: Disk) -> Asked:
    """A server with an empty root: nobody boots it."""
    root = Disk(new=Wanted(size=1, type=type_name), boot_index=0, delete_on_termination=True)
    return Asked(name="one", flavor_id=await a_flavor(stage), disks=(root, *more), host="c1")


async def _server(stage: Stage, type_name: str | None = None, *more: Disk) -> str:
    asked = await _asked(stage, type_name, *more)
    return await stage.do(lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))  # type: ignore[no-any-return]


async def _stopped_server(stage: Stage, type_name: str | None = None) -> str:
    """A machine that `fake` runs takes no disks."""
    server_id = await _server(stage, type_name)
    await stage.do(lambda tx: server_stop.start(tx, stage.caller, server_id))
    return server_id


async def _volume(stage: Stage, type_name: str | None = None) -> str:
    wanted = Wanted(size=1, type=type_name)
    return await stage.do(lambda tx: volume_create.start(tx, stage.caller, stage.settings, wanted))  # type: ignore[no-any-return]


async def _attachment(stage: Stage, type_name: str | None = None) -> tuple[str, str]:
    server_id, volume_id = await _stopped_server(stage, type_name), await _volume(stage, type_name)
    await stage.do(lambda tx: volume_attach.start(tx, stage.caller, server_id, volume_id))
    return server_id, volume_id


async def create(stage: Stage) -> str:
    data = Disk(new=Wanted(size=1), delete_on_termination=True), Disk(volume_id=await _volume(stage))
    asked = await _asked(stage, None, *data)
    return await _begin(stage, lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))


async def create_on_template(stage: Stage) -> str:
    asked = await _asked(stage, "file")
    return await _begin(stage, lambda tx: server_create.start(tx, stage.caller, stage.settings, asked))


async def start(stage: Stage) -> str:
    server_id = await _stopped_server(stage)
    return await _begin(stage, lambda tx: server_start.start(tx, stage.caller, server_id))


async def stop(stage: Stage) -> str:
    server_id = await _server(stage)
    return await _begin(stage, lambda tx: server_stop.start(tx, stage.caller, server_id))


async def delete(stage: Stage) -> str:
    server_id = await _server(stage, None, Disk(new=Wanted(size=1)))
    return await _begin(stage, lambda tx: server_delete.start(tx, stage.caller, server_id))


async def delete_on_template(stage: Stage) -> str:
    """Of its disks one goes with it, the other stays in the cluster."""
    server_id = await _server(stage, "sharedfile", Disk(new=Wanted(size=1, type="sharedfile")))
    return await _begin(stage, lambda tx: server_delete.start(tx, stage.caller, server_id))


async def attach(stage: Stage) -> str:
    server_id, volume_id = await _stopped_server(stage), await _volume(stage)
    return await _begin(stage, lambda tx: volume_attach.start(tx, stage.caller, server_id, volume_id))


async def attach_again(stage: Stage) -> str:
    """A disk that the cluster kept."""
    server_id, volume_id = await _attachment(stage, "sharedfile")
    await stage.do(lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))
    return await _begin(stage, lambda tx: volume_attach.start(tx, stage.caller, server_id, volume_id))


async def detach(stage: Stage) -> str:
    server_id, volume_id = await _attachment(stage)
    return await _begin(stage, lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))


async def detach_on_template(stage: Stage) -> str:
    server_id, volume_id = await _attachment(stage, "sharedfile")
    return await _begin(stage, lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))


async def create_attached(stage: Stage) -> str:
    server_id, wanted = await _stopped_server(stage, "file"), Wanted(size=1, type="file")
    return await _begin(
        stage, lambda tx: volume_create_attached.start(tx, stage.caller, stage.settings, wanted, server_id)
    )


async def remove(stage: Stage) -> str:
    server_id, wanted = await _stopped_server(stage, "file"), Wanted(size=1, type="file")
    volume_id = await stage.do(
        lambda tx: volume_create_attached.start(tx, stage.caller, stage.settings, wanted, server_id)
    )
    return await _begin(stage, lambda tx: volume_delete.start(tx, stage.caller, volume_id))


async def extend(stage: Stage) -> str:
    _, volume_id = await _attachment(stage)
    return await _begin(stage, lambda tx: volume_extend.start(tx, stage.caller, stage.settings, volume_id, 2))


async def delete_detached(stage: Stage) -> str:
    """A disk that no instance has, and that nobody but us knows."""
    server_id, volume_id = await _attachment(stage, "sharedfile")
    await stage.do(lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))
    return await _begin(stage, lambda tx: volume_delete.start(tx, stage.caller, volume_id))


# The scenario, and for how many jobs it asks.
SCENARIOS: dict[str, Callable[[Stage], Awaitable[str]]] = {
    "server_create": create,
    "server_create:file": create_on_template,
    "server_start": start,
    "server_stop": stop,
    "server_delete": delete,
    "server_delete:sharedfile": delete_on_template,
    "volume_attach": attach,
    "volume_attach:again": attach_again,
    "volume_detach": detach,
    "volume_detach:sharedfile": detach_on_template,
    "volume_create_attached:file": create_attached,
    "volume_remove:file": remove,
    "volume_extend": extend,
    "volume_delete:sharedfile": delete_detached,
}
# Steps that do nothing in a cluster: tests/crash has them.
_ELSEWHERE = {"make_disks", "make_disk", "claim", "release", "wait", "part", "delete_disks"}


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
    monkeypatch.setattr(server_create, "_require_bootable", lambda _: None)  # see `_asked`
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
    server_id, wanted = await _stopped_server(stage, "file"), Wanted(size=1, type="file")
    volume_id = await stage.do(
        lambda tx: volume_create_attached.start(tx, stage.caller, stage.settings, wanted, server_id)
    )
    with pytest.raises(Refusal, match="cannot be detached"):
        await stage.db.write(lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))
    await stage.clear()
