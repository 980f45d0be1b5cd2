"""What starting, stopping and rebooting a server share."""

from __future__ import annotations

import msgspec

from cyclades.model.caller import Caller
from cyclades.operations.base import Operation, Work, new_id, submit
from cyclades.operations.turn import wait_for_turn
from cyclades.store import servers
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    """`hard` is for reboots."""

    server_id: str
    backend: str
    hard: bool = False


def accept(
    tx: Tx,
    caller: Caller,
    server_id: str,
    action: str,
    operation: Operation[Args],
    *,
    hard: bool = False,
    **values: str,
) -> None:
    """Give the server to `operation`, with `values` in its row, if its status allows `action`."""
    server = servers.hold(tx, server_id, caller.scope)
    op_id = new_id()
    servers.begin(tx, server, caller, action, op_id=op_id, **values)
    args = Args(server.id, server.backend, hard)
    submit(tx, caller, operation, args, resource_kind="server", resource_id=server.id, op_id=op_id)


async def wait(work: Work[Args]) -> None:
    await wait_for_turn(work, work.args.server_id)


async def look(work: Work[Args]) -> None:
    """The undo of all of them: they leave the server as it is, and find out how that is."""
    seen = await work.world.backends[work.args.backend].look(work.args.server_id)
    work.data["power"] = seen.power


def running(tx: Tx, work: Work[Args]) -> None:
    servers.finish(tx, work.args.server_id, work.id, status="ACTIVE", power="running")


def stopped(tx: Tx, work: Work[Args]) -> None:
    servers.finish(tx, work.args.server_id, work.id, status="SHUTOFF", power="stopped")


def as_seen(tx: Tx, work: Work[Args], reason: str) -> None:
    """An error only where nobody could find out: a hard reboot or the deletion leads out of it."""
    power = work.data.get("power", "missing")
    status = "ERROR" if "power" not in work.data else "ACTIVE" if power in ("running", "paused") else "SHUTOFF"
    servers.finish(tx, work.args.server_id, work.id, status=status, power=power, reason=reason)
