"""Read what a server wrote to its console. Only an engine reaches backends, so this is an operation, too."""

from __future__ import annotations

import msgspec

from cyclades.model.caller import Caller
from cyclades.model.errors import WrongState
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.store import servers
from cyclades.store.database import Tx

MOST = 128 * 1024  # characters that are kept of a console


class Args(msgspec.Struct):
    """`lines` is None for all."""

    server_id: str
    backend: str
    lines: int | None


def start(tx: Tx, caller: Caller, server_id: str, lines: int | None) -> str:
    """Accept the reading; returns the operation's id. When it has ended, its data's `output` is the text."""
    server = servers.get(tx, server_id, caller.scope)
    if server.status == "BUILD":
        raise WrongState("server-console", f"Server {server.id} is not ready: it is being made.", resource="server")
    op_id = new_id()
    args = Args(server.id, server.backend, lines)
    submit(tx, caller, OPERATION, args, resource_kind="server", resource_id=server.id, op_id=op_id)
    return op_id


async def read(work: Work[Args]) -> None:
    backend = work.world.backends[work.args.backend]
    output = await backend.console(work.args.server_id, work.args.lines)
    await work.record(output=output[-MOST:].replace("\0", ""))


def done(tx: Tx, work: Work[Args]) -> None:
    """Nothing changed."""


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """Nothing changed."""


OPERATION = Operation(kind="server_console", args=Args, steps=(Step("read", read),), done=done, failed=failed)
