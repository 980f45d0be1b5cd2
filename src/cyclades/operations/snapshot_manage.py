"""Adopt what a pool keeps of a volume as it once was, as a snapshot of that volume."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.model.status import VOLUME_ACTIONS, wrong_status
from cyclades.model.units import GIB, gib_to_hold
from cyclades.operations import volume_manage
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.new_volume import check_metadata
from cyclades.store import quotas, snapshots, volumes
from cyclades.store.database import Tx


@dataclass(frozen=True)
class Wanted:
    """`source` is its present name, as the pool knows it."""

    volume_id: str
    source: str
    name: str | None = None
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class Args(msgspec.Struct):
    """`size` is the volume's, in GiB."""

    snapshot_id: str
    volume_id: str
    pool: str
    source: str
    size: int


def start(tx: Tx, caller: Caller, settings: Settings, wanted: Wanted) -> str:
    """Accept it; returns the snapshot's id. Its status is `creating`, then `available`, or `error` with a reason."""
    row = volumes.get(tx, wanted.volume_id, caller.scope)
    if row.status not in VOLUME_ACTIONS["snapshot"]:
        raise wrong_status("volume", "snapshot", VOLUME_ACTIONS["snapshot"], row.status)
    capabilities.require_pool(row.pool, "snapshots")
    volume_manage.refuse_ours(wanted.source)
    check_metadata(settings, wanted.metadata)
    snapshot_id, op_id = new_id(), new_id()
    snapshots.add(
        tx,
        snapshot_id,
        project_id=row.project_id,
        user_id=caller.user_id,
        volume_id=row.id,
        name=wanted.name,
        description=wanted.description,
        status="creating",
        size=row.size,
        metadata=wanted.metadata,
        operation_id=op_id,
    )
    quotas.take(tx, settings.quotas, row.project_id, quota.of_snapshot(row.size, type_id=row.volume_type_id))
    args = Args(snapshot_id, row.id, row.pool, wanted.source, row.size)
    submit(tx, caller, OPERATION, args, resource_kind="snapshot", resource_id=snapshot_id, op_id=op_id)
    return snapshot_id


async def adopt(work: Work[Args]) -> None:
    args = work.args
    pool, disk = work.world.pools[args.pool], snapshot_disk(args.snapshot_id)
    there = await pool.find(disk)
    if there is None:
        found = await volume_manage.find(pool, args.source)
        if found.snapshot_of != volume_disk(args.volume_id):
            raise Failed(f"{args.source} is not a snapshot of volume {args.volume_id}.")
        if found.size > args.size * GIB:
            raise Failed(f"{args.source} has {found.size} bytes, more than its volume.")
        await pool.rename(args.source, disk, work.still)
    size = found.size if there is None else there.size
    await work.record(size=gib_to_hold(size))


async def give_back(work: Work[Args]) -> None:
    pool, disk = work.world.pools[work.args.pool], snapshot_disk(work.args.snapshot_id)
    if await pool.find(disk) is not None:
        await pool.rename(disk, work.args.source, work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    """A volume that has grown since was larger than what is adopted: the rest does not count."""
    row = snapshots.get(tx, work.args.snapshot_id, None)
    if snapshots.finish(tx, row.id, work.id, status="available", size=work.data["size"]):
        type_id = volumes.get_even_deleted(tx, row.volume_id).volume_type_id
        taken = quota.of_snapshot(row.size, type_id=type_id)
        due = quota.of_snapshot(work.data["size"], type_id=type_id)
        quotas.give_back(tx, row.project_id, {resource: taken[resource] - due[resource] for resource in taken})


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    snapshots.finish(tx, work.args.snapshot_id, work.id, status="error", reason=reason)


OPERATION = Operation(
    kind="snapshot_manage",
    args=Args,
    steps=(Step("adopt", adopt, undo=give_back),),
    done=done,
    failed=failed,
)
