"""Delete what a backend has as one of our servers, and the database does not."""

from __future__ import annotations

import msgspec

from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, NotFound, WrongState
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.store import servers
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    server_id: str
    backend: str


def start(tx: Tx, caller: Caller, backend: str, server_id: str) -> None:
    """Accept it, unless the server is known."""
    if _is_known(tx, server_id):
        text = f"There is a server {server_id}: delete it as any other."
        raise WrongState("server-known", text, resource="server")
    op_id = new_id()
    args = Args(server_id, backend)
    submit(tx, caller, OPERATION, args, resource_kind="server", resource_id=server_id, op_id=op_id)


def _is_known(tx: Tx, server_id: str) -> bool:
    try:
        servers.get(tx, server_id, None)
    except NotFound:
        return False
    return True


async def delete(work: Work[Args]) -> None:
    args = work.args
    if await work.world.db.read(lambda tx: _is_known(tx, args.server_id)):
        raise Failed(f"There is a server {args.server_id}.")
    await work.world.backends[args.backend].delete(args.server_id, trail=work)


def done(tx: Tx, work: Work[Args]) -> None:
    """There are no rows."""


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """There are no rows."""


OPERATION = Operation(
    kind="server_remove_unknown", args=Args, steps=(Step("delete", delete, final=True),), done=done, failed=failed
)
