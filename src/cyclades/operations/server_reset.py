"""Set a server's status by hand: the way out for an admin. It makes no promise that the server does not keep."""

from __future__ import annotations

from cyclades.model.caller import Caller
from cyclades.model.errors import WrongState
from cyclades.store import attachments, servers
from cyclades.store.database import Tx


def start(tx: Tx, caller: Caller, server_id: str, *, error: bool) -> None:
    """`error`, or what its backend last showed: ACTIVE or SHUTOFF. An operation that owns it comes to its end first."""
    row = servers.hold(tx, server_id, caller.scope)
    if row.operation_id is not None:
        text = f"Server {row.id} has an operation at work on it: its status follows from that."
        raise WrongState("server-reset", text, resource="server")
    if error:
        servers.change(tx, row.id, status="ERROR", task_state=None, reason=None)
        return
    if not any(plug.is_root for plug in attachments.of_server(tx, row.id)):
        text = f"Server {row.id} never came up, and has no root disk: it can only be deleted."
        raise WrongState("server-reset", text, resource="server")
    status = "ACTIVE" if row.power in ("running", "paused") else "SHUTOFF"
    servers.change(tx, row.id, status=status, task_state=None, reason=None)
