"""Delete a snapshot. Volumes made from it live on; what they share is freed with the last of them."""

from __future__ import annotations

import msgspec

from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.names import snapshot_disk
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.live import find_live
from cyclades.operations.turn import wait_for_users
from cyclades.store import quotas, snapshots, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Args(msgspec.Struct):
    snapshot_id: str
    volume_id: str
    pool: str


def start(tx: Tx, caller: Caller, snapshot_id: str) -> None:
    """Accept the deletion."""
    row = snapshots.hold(tx, snapshot_id, caller.scope)
    op_id = new_id()
    snapshots.begin(tx, row, "delete", status="deleting", op_id=op_id)
    pool = volumes.get_even_deleted(tx, row.volume_id).pool
    args = Args(row.id, row.volume_id, pool)
    submit(tx, caller, OPERATION, args, resource_kind="snapshot", resource_id=row.id, op_id=op_id)


async def wait(work: Work[Args]) -> None:
    """What was asked to be made from the snapshot before is made from it."""
    await wait_for_users(work, work.args.snapshot_id)


async def remove_disk(work: Work[Args]) -> None:
    args = work.args
    live = find_live(work.world, args.volume_id)
    await work.world.pools[args.pool].delete(snapshot_disk(args.snapshot_id), live, work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    forget(tx, work.args.snapshot_id, work.id)


def forget(tx: Tx, snapshot_id: str, op_id: str) -> None:
    """The disk is gone: so is the snapshot, and it no longer counts."""
    row = snapshots.get(tx, snapshot_id, None)
    if snapshots.finish(tx, row.id, op_id, status="deleted", deleted_at=now()):
        type_id = volumes.get_even_deleted(tx, row.volume_id).volume_type_id
        quotas.give_back(tx, row.project_id, quota.of_snapshot(row.size, type_id=type_id))


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    snapshots.finish(tx, work.args.snapshot_id, work.id, status="error_deleting", reason=reason)


OPERATION = Operation(
    kind="snapshot_delete",
    args=Args,
    steps=(Step("wait", wait), Step("remove_disk", remove_disk, final=True)),
    done=done,
    failed=failed,
)
