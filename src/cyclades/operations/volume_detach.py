"""Detach a volume from a server. The disk is given free only when it is proven that nothing can reach it."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from sqlalchemy import Row

from cyclades.model import capabilities
from cyclades.model.caller import Caller
from cyclades.model.errors import Invalid, WrongState
from cyclades.model.names import volume_disk
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.server_spec import owner
from cyclades.store import attachments, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Args(msgspec.Struct):
    attachment_id: str
    server_id: str
    backend: str
    volume_id: str
    pool: str
    generation: int


def start(tx: Tx, caller: Caller, server_id: str, volume_id: str) -> None:
    """Accept the detachment."""
    server = servers.hold(tx, server_id, caller.scope)
    row = attachments.get(tx, server.id, volume_id)
    _refuse_what_stays(tx, row)
    op_id = new_id()
    # The volume first: a repeat of a detach in progress is the volume's wrong state (400), never the server's (409).
    volumes.begin(tx, volumes.get(tx, volume_id, None), "detach", status="detaching", op_id=op_id)
    servers.require(server, caller, "detach")
    _submit(tx, caller, server.backend, row, op_id)


def force(tx: Tx, caller: Caller, row: Row[Any]) -> None:
    """Accept the detachment, whatever the volume's status and the server's, as long as no operation has them. Nothing
    is taken on trust here either: it ends when the server has let go, and fails if that does not."""
    server = servers.hold(tx, row.server_id, None)
    _refuse_what_stays(tx, row)
    op_id = new_id()
    volumes.begin(tx, volumes.hold(tx, row.volume_id, None), "force_detach", status="detaching", op_id=op_id)
    if server.operation_id is not None:
        text = f"Server {server.id} is busy ({server.task_state}): try again when that has ended."
        raise WrongState("server-force-detach", text, resource="server")
    _submit(tx, caller, server.backend, row, op_id)


def _refuse_what_stays(tx: Tx, row: Row[Any]) -> None:
    if row.is_root:
        raise Invalid(
            "detach-root",
            f"Volume {row.volume_id} is the root disk of server {row.server_id}: it cannot be detached.",
        )
    if capabilities.lives_on_server(volumes.get(tx, row.volume_id, None).pool):
        raise Invalid(
            "detach-server-bound",
            f"Volume {row.volume_id} lives only on server {row.server_id}: it cannot be detached. Delete the volume to "
            "take it away from the server, with what it holds.",
        )


def complete(tx: Tx, server: Row[Any], row: Row[Any]) -> None:
    """The guest let go after we had given up waiting for it: bring that detach to its end."""
    kept = volumes.hold(tx, row.volume_id, None)
    attachments.let_go(tx, kept)
    caller = Caller(kept.user_id, kept.project_id, frozenset({"admin"}), f"req-{new_id()}")
    op_id = new_id()
    volumes.begin(tx, kept, "detach", status="detaching", op_id=op_id)
    _submit(tx, caller, server.backend, row, op_id)


def _submit(tx: Tx, caller: Caller, backend: str, row: Row[Any], op_id: str) -> None:
    attachments.begin(tx, row, status="detaching", op_id=op_id)
    pool = volumes.get(tx, row.volume_id, None).pool
    args = Args(row.id, row.server_id, backend, row.volume_id, pool, row.generation)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.volume_id, op_id=op_id)


class Plugged(Protocol):
    """What tells an attachment, in the arguments of an operation that ends it."""

    server_id: str
    backend: str
    volume_id: str
    generation: int


async def take_away(work: Work[Any], args: Plugged) -> None:
    """Unplug the volume; when this returns nothing of the server reaches it any more."""
    patience = work.world.settings.compute.unplug_seconds
    backend = work.world.backends[args.backend]
    await backend.unplug(args.server_id, args.volume_id, args.generation, patience=patience, trail=work)


async def unplug(work: Work[Args]) -> None:
    await take_away(work, work.args)
    work.data["unplugged"] = True


async def release(work: Work[Args]) -> None:
    args = work.args
    pool = work.world.pools[args.pool]
    await pool.release(volume_disk(args.volume_id), owner(args.backend, args.server_id), args.generation)
    work.data["released"] = True


async def look(work: Work[Args]) -> None:
    """What is unplugged is not plugged in again: if the server has let go, the volume is free."""
    args = work.args
    seen = await work.world.backends[args.backend].look(args.server_id)
    work.data["unplugged"] = not any(disk.volume_id == args.volume_id for disk in seen.disks)
    if work.data["unplugged"]:
        await release(work)


def done(tx: Tx, work: Work[Args]) -> None:
    attachments.finish(tx, work.args.attachment_id, work.id, deleted_at=now())
    volumes.finish(tx, work.args.volume_id, work.id, status=_left(tx, work))


def _left(tx: Tx, work: Work[Args]) -> str:
    """The status of a volume whose attachment is gone: it is free, unless others have it too."""
    return attachments.volume_status(tx, volumes.get_even_deleted(tx, work.args.volume_id))


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    args = work.args
    if work.data.get("unplugged"):
        # Nothing reaches the disk any more. An error only if the pool would not let go of it.
        attachments.finish(tx, args.attachment_id, work.id, deleted_at=now())
        status = _left(tx, work) if work.data.get("released") else "error"
        volumes.finish(tx, args.volume_id, work.id, status=status, reason=reason)
    else:
        volumes.finish(tx, args.volume_id, work.id, status="in-use", reason=reason)
        attachments.finish(tx, args.attachment_id, work.id, status="attached")


OPERATION = Operation(
    kind="volume_detach",
    args=Args,
    steps=(Step("unplug", unplug, undo=look), Step("release", release)),
    done=done,
    failed=failed,
)
