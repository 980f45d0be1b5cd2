"""Stop a server: the guest is asked to power off, and switched off when it takes too long."""

from __future__ import annotations

from cyclades.model.caller import Caller
from cyclades.operations import server_power
from cyclades.operations.base import Operation, Step, Work
from cyclades.operations.server_power import Args
from cyclades.store.database import Tx


def start(tx: Tx, caller: Caller, server_id: str) -> None:
    server_power.accept(tx, caller, server_id, "stop", OPERATION, task_state="powering-off")


async def power_off(work: Work[Args]) -> None:
    patience = work.world.settings.compute.stop_seconds
    await work.world.backends[work.args.backend].stop(work.args.server_id, patience=patience, trail=work)


OPERATION = Operation(
    kind="server_stop",
    args=Args,
    steps=(Step("wait", server_power.wait), Step("power_off", power_off, undo=server_power.look)),
    done=server_power.stopped,
    failed=server_power.as_seen,
)
