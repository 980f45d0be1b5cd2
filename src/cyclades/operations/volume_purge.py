"""Delete a volume with what is in the way: its snapshots (`cascade`), whatever state it is in (`force`).

The volume's disk goes first, so that nothing needs to be merged when the snapshots' go. If one of them cannot be
deleted, it and what comes after it are `error_deleting`, and can be deleted again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.model import attachments as rules
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, NotFound, Refusal
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.operations import snapshot_delete, volume_delete
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.disk_owner import set_free
from cyclades.operations.turn import ask_to_end, supersede, until_free, wait_for_users
from cyclades.operations.volume_gone import forget
from cyclades.store import attachments, snapshots, transfers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now

# What ends as is wanted here, and is not asked to turn back.
GOING = frozenset({"volume_detach", "volume_delete", "volume_purge", "snapshot_delete", "snapshot_purge"})


class Args(msgspec.Struct):
    volume_id: str
    cascade: bool
    force: bool


def start(tx: Tx, caller: Caller, volume_id: str, *, cascade: bool, force: bool) -> None:
    """Accept the deletion. With `force` (for admins) what else was going on with the volume is asked to turn back, or
    waited for; only a server that has the volume keeps it."""
    row = volumes.hold(tx, volume_id, caller.scope)
    if force and row.status == "deleting" and row.operation_id is not None:
        return
    if not cascade:
        volume_delete.refuse_if_snapshots(tx, row)
    plugged = attachments.of_volume(tx, row.id)
    volume_delete.refuse_if_attached([one for one in plugged if one.status == "attached"] if force else plugged)
    supersede(tx, row.id, ("volume_reset",))
    op_id = new_id()
    args = Args(row.id, cascade, force)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)
    _take(tx, op_id, args)


def _take(tx: Tx, op_id: str, args: Args) -> str | None:
    """Make the volume and its snapshots the operation's, as far as they are free; returns what must end first."""
    volume = volumes.hold(tx, args.volume_id, None)
    waits = _take_one(tx, volumes, volume, op_id, args)
    for row in snapshots.of_volume(tx, volume.id, volume.project_id) if args.cascade else ():
        waits = _take_one(tx, snapshots, row, op_id, args) or waits
    return waits


def _take_one(tx: Tx, store: Any, row: Any, op_id: str, args: Args) -> str | None:
    if row.operation_id == op_id:
        return None
    if row.operation_id is not None and args.force:
        if ask_to_end(tx, row, unless=GOING):
            return f"operation {row.operation_id}"
        store.change(tx, row.id, operation_id=None)
    store.begin(tx, row, "purge" if args.force else "delete", status="deleting", op_id=op_id)
    return None


async def take(work: Work[Args]) -> None:
    await until_free(work, lambda: work.world.db.write(lambda tx: _taken(tx, work)))


def _taken(tx: Tx, work: Work[Args]) -> str | None:
    """`_take`, and what has shown since the deletion was accepted."""
    try:
        waits = _take(tx, work.id, work.args)
        volume = volumes.get(tx, work.args.volume_id, None)
    except NotFound:
        return None  # what had it has deleted it
    except Refusal as refusal:
        raise Failed(refusal.message) from refusal
    if waits is not None:
        return waits
    transfers.end_of_volume(tx, volume.id)
    for one in attachments.of_volume(tx, volume.id):
        if one.status == "attached":
            raise Failed(f"The volume is attached to {attachments.place(one)}; detach it first.")
        attachments.change(tx, one.id, deleted_at=now())  # a client only meant to
    if not work.args.cascade and volumes.has_snapshots(tx, volume.id):
        raise Failed("The volume has snapshots; delete them first.")
    return None


async def wait(work: Work[Args]) -> None:
    """What was asked to be made from the volume or its snapshots before is made from them."""
    taken = await work.world.db.read(lambda tx: snapshots.of_operation(tx, work.id))
    for resource_id in (work.args.volume_id, *(row.id for row in taken)):
        await wait_for_users(work, resource_id)


async def remove_disk(work: Work[Args]) -> None:
    row = await _volume(work)
    await set_free(work.world, row.pool, row.id)
    await work.world.pools[row.pool].delete(volume_disk(row.id), still=work.still)


async def _volume(work: Work[Args]) -> Row[Any]:
    return await work.world.db.read(lambda tx: volumes.get_even_deleted(tx, work.args.volume_id))


async def remove_snapshots(work: Work[Args]) -> None:
    pool = work.world.pools[(await _volume(work)).pool]
    gone: list[str] = work.data.setdefault("gone", [])
    for row in await work.world.db.read(lambda tx: snapshots.of_operation(tx, work.id)):
        await pool.delete(snapshot_disk(row.id), still=work.still)
        gone.append(row.id)


def done(tx: Tx, work: Work[Args]) -> None:
    for row in snapshots.of_operation(tx, work.id):
        snapshot_delete.forget(tx, row.id, work.id)
    with suppress(NotFound):
        forget(tx, work.args.volume_id, work.id)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    for row in snapshots.of_operation(tx, work.id):
        if row.id in work.data.get("gone", ()):
            snapshot_delete.forget(tx, row.id, work.id)
        else:
            snapshots.finish(tx, row.id, work.id, status="error_deleting", reason=reason)
    attached = [one.status for one in attachments.of_volume(tx, work.args.volume_id)]
    status = rules.volume_status("in-use", attached) if attached else "error_deleting"
    volumes.finish(tx, work.args.volume_id, work.id, status=status, reason=reason)


OPERATION = Operation(
    kind="volume_purge",
    args=Args,
    steps=(
        Step("take", take),
        Step("wait", wait),
        Step("remove_disk", remove_disk, final=True),
        Step("remove_snapshots", remove_snapshots, final=True),
    ),
    done=done,
    failed=failed,
)
