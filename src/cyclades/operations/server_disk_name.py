"""Give the disk of a volume its name again, in the books of the backend whose server has it."""

from __future__ import annotations

import msgspec

from cyclades.model.caller import Caller
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.store import attachments, servers
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    server_id: str
    backend: str
    volume_id: str


def start(tx: Tx, caller: Caller, server_id: str, volume_id: str) -> None:
    """Accept it. No row changes."""
    server = servers.get(tx, server_id, caller.scope)
    row = attachments.get(tx, server.id, volume_id)
    op_id = new_id()
    args = Args(server.id, server.backend, row.volume_id)
    submit(tx, caller, OPERATION, args, resource_kind="server", resource_id=server.id, op_id=op_id)


async def name(work: Work[Args]) -> None:
    args = work.args
    await work.world.backends[args.backend].name_disk(args.server_id, args.volume_id, trail=work)


def done(tx: Tx, work: Work[Args]) -> None:
    """No row has the name."""


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """It is called as before."""


OPERATION = Operation(
    kind="server_disk_name", args=Args, steps=(Step("name", name, final=True),), done=done, failed=failed
)
