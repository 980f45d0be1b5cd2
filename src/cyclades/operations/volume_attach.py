"""Attach a volume to a server, running or stopped."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row

from cyclades.model import capabilities
from cyclades.model.caller import Caller
from cyclades.model.errors import Fault, NotFound, WrongState
from cyclades.model.names import volume_disk
from cyclades.model.servers import MAX_DISKS, device_of, free_index
from cyclades.operations import placement
from cyclades.operations.base import Operation, Step, Work, World, new_id, submit
from cyclades.operations.server_spec import owner, plug_of
from cyclades.store import attachments, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now, volume


class Args(msgspec.Struct):
    attachment_id: str
    server_id: str
    backend: str
    volume_id: str
    pool: str
    generation: int


A = TypeVar("A", bound=Args)  # also of what makes the volume first (`volume_create_attached`)


def end_with_server(tx: Tx, plug: Row[Any], *, ends: bool) -> None:
    """Say whether the volume of this attachment is deleted with its server. `Invalid` if it cannot outlive it."""
    capabilities.require_end_with_server(volumes.get(tx, plug.volume_id, None).pool, ends=ends)
    attachments.change(tx, plug.id, delete_on_termination=ends)


def start(
    tx: Tx,
    caller: Caller,
    server_id: str,
    volume_id: str,
    *,
    tag: str | None = None,
    delete_on_termination: bool = False,
    device: str | None = None,
    mode: str = "rw",
) -> str:
    """Accept the attachment; returns its id. `device` is only shown again; in the mode "ro" the guest cannot write."""
    server = servers.hold(tx, server_id, caller.scope)
    row = volumes.get(tx, volume_id, caller.scope)
    if row.project_id != server.project_id:
        raise NotFound("volume", volume_id)
    servers.require(server, caller, "attach")
    op_id = new_id()
    generation = claim_row(tx, row, op_id)
    if any(other.volume_id == row.id for other in attachments.of_server(tx, server.id)):
        text = f"Invalid volume: volume {row.id} is attached to server {server.id} already."
        raise WrongState("volume-attach", text, resource="volume")
    args = add_row(
        tx,
        server,
        row,
        generation,
        op_id,
        device=device,
        mode=mode,
        tag=tag,
        delete_on_termination=delete_on_termination,
    )
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)
    return args.attachment_id


def add_row(
    tx: Tx, server: Row[Any], row: Row[Any], generation: int, op_id: str, *, device: str | None = None, **values: Any
) -> Args:
    """The attachment of a volume that the operation owns, at the server's next free index."""
    read_only = bool(row.readonly) or values.get("mode") == "ro"
    placement.require_reach(tx, server.backend, row, read_only=read_only)
    capabilities.require_end_with_server(row.pool, ends=bool(values.get("delete_on_termination")))
    others = attachments.of_server(tx, server.id)
    index = free_index({other.disk_index for other in others})
    shown = {other.device for other in others}
    attachment_id = new_id()
    attachments.add(
        tx,
        attachment_id,
        project_id=row.project_id,
        volume_id=row.id,
        server_id=server.id,
        disk_index=index,
        host_name=server.backend,
        status="attaching",
        device=device or next(name for name in map(device_of, (index, *range(MAX_DISKS))) if name not in shown),
        generation=generation,
        operation_id=op_id,
        **values,
    )
    require_one_template(tx, server.id)
    return Args(attachment_id, server.id, server.backend, row.id, row.pool, generation)


def require_one_template(tx: Tx, server_id: str) -> None:
    """Of all disks of the server, those that this transaction adds included."""
    capabilities.require_one_template(attachments.type_specs(tx, server_id))


def claim_row(tx: Tx, row: Any, op_id: str) -> int:
    """Give a volume that is free to an operation that attaches it; returns the generation of the new attachment."""
    volumes.begin(tx, row, "attach", status="attaching", op_id=op_id, generation=volume.c.generation + 1)
    generation: int = volumes.get(tx, row.id, None).generation
    return generation


async def claim(work: Work[A]) -> None:
    args = work.args
    await claim_disk(work.world, args.backend, args.server_id, args.volume_id, args.pool, args.generation)


async def claim_disk(world: World, backend: str, server_id: str, volume_id: str, pool: str, generation: int) -> None:
    """Let the pool know that this server may open the disk: alone, unless the volume is for several."""
    card = world.backends[backend].cards
    shared = (await world.db.read(lambda tx: volumes.get(tx, volume_id, None))).multiattach
    who = owner(backend, server_id)
    await world.pools[pool].claim(volume_disk(volume_id), who, generation, card=card, shared=shared)


async def release(work: Work[A]) -> None:
    args = work.args
    if work.data.get("still_plugged"):
        return
    pool = work.world.pools[args.pool]
    await pool.release(volume_disk(args.volume_id), owner(args.backend, args.server_id), args.generation)


async def plug(work: Work[A]) -> None:
    args = work.args
    plugged = await work.world.db.read(lambda tx: attachments.with_volumes(tx, args.server_id))
    mine = next((row for row in plugged if row.operation_id == work.id), None)
    if mine is not None:
        await work.world.backends[args.backend].plug(args.server_id, plug_of(work.world, mine), trail=work)


async def unplug(work: Work[A]) -> None:
    """What was plugged and cannot be taken away again stays the server's."""
    args = work.args
    patience = work.world.settings.compute.unplug_seconds
    backend = work.world.backends[args.backend]
    try:
        await backend.unplug(args.server_id, args.volume_id, args.generation, patience=patience, trail=work)
    except Fault:
        work.data["still_plugged"] = True
        raise
    work.data["still_plugged"] = False


def done(tx: Tx, work: Work[A]) -> None:
    args = work.args
    volumes.finish(tx, args.volume_id, work.id, status="in-use")
    attachments.finish(tx, args.attachment_id, work.id, status="attached", attached_at=now())


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    args = work.args
    if work.data.get("still_plugged"):
        volumes.finish(tx, args.volume_id, work.id, status="in-use", reason=reason)
        attachments.finish(tx, args.attachment_id, work.id, status="attached", attached_at=now())
    else:
        attachments.finish(tx, args.attachment_id, work.id, deleted_at=now())
        status = attachments.volume_status(tx, volumes.get_even_deleted(tx, args.volume_id))
        volumes.finish(tx, args.volume_id, work.id, status=status, reason=reason)


OPERATION = Operation(
    kind="volume_attach",
    args=Args,
    steps=(Step("claim", claim, undo=release), Step("plug", plug, undo=unplug)),
    done=done,
    failed=failed,
)
