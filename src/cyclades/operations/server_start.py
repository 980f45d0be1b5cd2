"""Start a server that is stopped, or whose machine had died."""

from __future__ import annotations

from cyclades.model.caller import Caller
from cyclades.operations import server_power
from cyclades.operations.base import Operation, Step, Work
from cyclades.operations.server_power import Args
from cyclades.operations.server_spec import spec_of
from cyclades.store.database import Tx


def start(tx: Tx, caller: Caller, server_id: str) -> None:
    server_power.accept(tx, caller, server_id, "start", OPERATION, task_state="powering-on")


async def power_on(work: Work[Args]) -> None:
    spec = await spec_of(work.world, work.args.server_id)
    await work.world.backends[work.args.backend].start(spec, trail=work)


OPERATION = Operation(
    kind="server_start",
    args=Args,
    steps=(Step("wait", server_power.wait), Step("power_on", power_on, undo=server_power.look)),
    done=server_power.running,
    failed=server_power.as_seen,
)
