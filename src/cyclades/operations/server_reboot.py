"""Reboot a server: soft asks the guest, hard resets it, or starts it again where it had died."""

from __future__ import annotations

from cyclades.model.caller import Caller
from cyclades.model.errors import WrongState
from cyclades.operations import server_power
from cyclades.operations.base import Operation, Step, Work
from cyclades.operations.server_power import Args
from cyclades.operations.server_spec import spec_of
from cyclades.store import attachments, servers
from cyclades.store.database import Tx


def start(tx: Tx, caller: Caller, server_id: str, *, hard: bool) -> None:
    if not hard:
        server_power.accept(tx, caller, server_id, "reboot", OPERATION, status="REBOOT", task_state="rebooting")
        return
    server = servers.hold(tx, server_id, caller.scope)
    if not any(row.is_root for row in attachments.of_server(tx, server.id)):
        text = f"Cannot 'reboot' server {server.id}: it never came up, and has no root disk."
        raise WrongState("server-no-root", text, resource="server")
    values = {"status": "HARD_REBOOT", "task_state": "rebooting_hard"}
    server_power.accept(tx, caller, server_id, "reboot_hard", OPERATION, hard=True, **values)


async def reboot(work: Work[Args]) -> None:
    spec = await spec_of(work.world, work.args.server_id)
    await work.world.backends[work.args.backend].reboot(spec, hard=work.args.hard, trail=work)


OPERATION = Operation(
    kind="server_reboot",
    args=Args,
    steps=(Step("wait", server_power.wait), Step("reboot", reboot, undo=server_power.look)),
    done=server_power.running,
    failed=server_power.as_seen,
)
