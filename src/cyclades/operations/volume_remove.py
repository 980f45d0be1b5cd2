"""Take a volume that lives only on its server (`plain`, `drbd`, `file`) away from it: its disk ends with that."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.model.caller import Caller
from cyclades.model.errors import Invalid
from cyclades.operations import volume_detach
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.volume_gone import forget
from cyclades.store import attachments, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Args(msgspec.Struct):
    attachment_id: str
    server_id: str
    backend: str
    volume_id: str
    generation: int


def start(tx: Tx, caller: Caller, row: Row[Any]) -> None:
    """Accept it. `row` is the volume's attachment; a root disk stays as long as its server."""
    server = servers.hold(tx, row.server_id, caller.scope)
    if row.is_root:
        text = f"Volume {row.volume_id} is the root disk of server {row.server_id}: it goes with the server."
        raise Invalid("delete-root", text)
    op_id = new_id()
    volumes.begin(tx, volumes.get(tx, row.volume_id, None), "remove", status="deleting", op_id=op_id)
    servers.require(server, caller, "detach")
    attachments.begin(tx, row, status="detaching", op_id=op_id)
    args = Args(row.id, server.id, server.backend, row.volume_id, row.generation)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.volume_id, op_id=op_id)


async def remove(work: Work[Args]) -> None:
    await volume_detach.take_away(work, work.args)


def done(tx: Tx, work: Work[Args]) -> None:
    attachments.finish(tx, work.args.attachment_id, work.id, deleted_at=now())
    forget(tx, work.args.volume_id, work.id)


async def look(work: Work[Args]) -> None:
    """What has begun to go does not come back whole: if the server no longer has it, it is gone."""
    seen = await work.world.backends[work.args.backend].look(work.args.server_id)
    work.data["gone"] = not any(disk.volume_id == work.args.volume_id for disk in seen.disks)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    if work.data.get("gone"):
        done(tx, work)
        return
    volumes.finish(tx, work.args.volume_id, work.id, status="in-use", reason=reason)
    attachments.finish(tx, work.args.attachment_id, work.id, status="attached")


OPERATION = Operation(
    kind="volume_remove",
    args=Args,
    steps=(Step("remove", remove, undo=look),),
    done=done,
    failed=failed,
)
