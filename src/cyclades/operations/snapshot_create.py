"""Take a snapshot of a volume, at rest or in use; in use it is what a crash at that moment would leave."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.model.status import VOLUME_ACTIONS, wrong_status
from cyclades.model.units import gib_to_hold
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.live import find_live, require_freezable
from cyclades.operations.new_volume import check_metadata
from cyclades.store import quotas, snapshots, volumes
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    snapshot_id: str
    volume_id: str
    pool: str


def start(
    tx: Tx,
    caller: Caller,
    settings: Settings,
    volume_id: str,
    *,
    name: str | None,
    description: str | None,
    metadata: dict[str, Any],
    in_use: bool,
) -> str:
    """Accept the snapshot; returns its id. `in_use` allows a volume that is plugged into a server."""
    row = volumes.hold(tx, volume_id, caller.scope)
    allowed = VOLUME_ACTIONS["snapshot"] if in_use else {"available"}
    if row.status not in allowed:
        raise wrong_status("volume", "snapshot", allowed, row.status)
    check_metadata(settings, metadata)
    op_id = new_id()
    snapshot_id = add_row(tx, caller, settings, row, op_id, name=name, description=description, metadata=metadata)
    args = Args(snapshot_id, row.id, row.pool)
    submit(tx, caller, OPERATION, args, resource_kind="snapshot", resource_id=snapshot_id, op_id=op_id)
    return snapshot_id


def add_row(tx: Tx, caller: Caller, settings: Settings, row: Row[Any], op_id: str, **values: Any) -> str:
    """The snapshot of the volume `row` in status `creating`, owned by the operation `op_id`, and its quota."""
    capabilities.require_pool(row.pool, "snapshots")
    require_freezable(tx, settings, row)
    snapshot_id = new_id()
    snapshots.add(
        tx,
        snapshot_id,
        project_id=row.project_id,
        user_id=caller.user_id,
        volume_id=row.id,
        status="creating",
        size=row.size,
        operation_id=op_id,
        **values,
    )
    quotas.take(tx, settings.quotas, row.project_id, quota.of_snapshot(row.size, type_id=row.volume_type_id))
    return snapshot_id


async def freeze(work: Work[Args]) -> None:
    args = work.args
    pool, live = work.world.pools[args.pool], find_live(work.world, args.volume_id)
    await pool.snapshot(volume_disk(args.volume_id), snapshot_disk(args.snapshot_id), live)
    taken = await pool.find(snapshot_disk(args.snapshot_id))
    if taken is not None:
        work.data["size"] = gib_to_hold(taken.size)


async def unfreeze(work: Work[Args]) -> None:
    args = work.args
    live = find_live(work.world, args.volume_id)
    await work.world.pools[args.pool].delete(snapshot_disk(args.snapshot_id), live)


def done(tx: Tx, work: Work[Args]) -> None:
    """As large as the volume was when it was taken, which may have grown since this was accepted."""
    row = snapshots.get(tx, work.args.snapshot_id, None)
    size = work.data.get("size", row.size)
    if snapshots.finish(tx, row.id, work.id, status="available", size=size) and size != row.size:
        type_id = volumes.get_even_deleted(tx, row.volume_id).volume_type_id
        more = quota.of_snapshot(size - row.size, type_id=type_id)
        quotas.count(tx, row.project_id, {name: n for name, n in more.items() if quota.SNAPSHOTS not in name})


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    snapshots.finish(tx, work.args.snapshot_id, work.id, status="error", reason=reason)


OPERATION = Operation(
    kind="snapshot_create",
    args=Args,
    steps=(Step("freeze", freeze, undo=unfreeze),),
    done=done,
    failed=failed,
)
