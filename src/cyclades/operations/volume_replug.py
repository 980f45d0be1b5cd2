"""Plug a volume in again that a server has lost although it is attached: it is taken away as far as anything is left,
and the same attachment begins anew.

Nothing is undone. Where it fails, the attachment is as it was before: the server lacks the volume.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.model.caller import Caller
from cyclades.model.names import volume_disk
from cyclades.operations import volume_attach, volume_detach
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.server_spec import owner
from cyclades.store import attachments, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import volume


class Args(volume_attach.Args):
    """`generation` is the new one."""

    old_generation: int


def start(tx: Tx, caller: Caller, row: Row[Any]) -> None:
    """Accept it for this attachment (its row)."""
    server = servers.hold(tx, row.server_id, caller.scope)
    servers.require(server, caller, "attach")
    kept = volumes.get(tx, row.volume_id, caller.scope)
    op_id = new_id()
    volumes.begin(tx, kept, "detach", status="attaching", op_id=op_id, generation=volume.c.generation + 1)
    attachments.begin(tx, row, status="attaching", op_id=op_id)
    generation: int = volumes.get(tx, kept.id, None).generation
    attachments.change(tx, row.id, generation=generation)
    args = Args(row.id, server.id, server.backend, kept.id, kept.pool, generation, row.generation)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=kept.id, op_id=op_id)


async def let_go(work: Work[Args]) -> None:
    """Nothing of the attachment as it was is left: not in the server's machine, and not in its pool."""
    args = work.args
    old = volume_detach.Args(
        args.attachment_id, args.server_id, args.backend, args.volume_id, args.pool, args.old_generation
    )
    await volume_detach.take_away(work, old)
    pool = work.world.pools[args.pool]
    await pool.release(volume_disk(args.volume_id), owner(args.backend, args.server_id), args.old_generation)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    volumes.finish(tx, work.args.volume_id, work.id, status="in-use", reason=reason)
    attachments.finish(tx, work.args.attachment_id, work.id, status="attached")


OPERATION = Operation(
    kind="volume_replug",
    args=Args,
    steps=(
        Step("let_go", let_go, final=True),
        Step("claim", volume_attach.claim),
        Step("plug", volume_attach.plug),
    ),
    done=volume_attach.done,
    failed=failed,
)
