"""Let go of a snapshot: its row goes, and its pool keeps what it holds, under a name that is nobody's."""

from __future__ import annotations

import msgspec

from cyclades.model.caller import Caller
from cyclades.model.names import snapshot_disk, unmanaged_disk
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.snapshot_delete import forget
from cyclades.store import snapshots, volumes
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    """`status` is the snapshot's before."""

    snapshot_id: str
    pool: str
    status: str


def start(tx: Tx, caller: Caller, snapshot_id: str) -> None:
    """Accept it."""
    row = snapshots.get(tx, snapshot_id, caller.scope)
    op_id = new_id()
    snapshots.begin(tx, row, "unmanage", status="unmanaging", op_id=op_id)
    args = Args(row.id, volumes.get_even_deleted(tx, row.volume_id).pool, row.status)
    submit(tx, caller, OPERATION, args, resource_kind="snapshot", resource_id=row.id, op_id=op_id)


async def let_go(work: Work[Args]) -> None:
    """A snapshot in error may hold nothing."""
    pool, disk = work.world.pools[work.args.pool], snapshot_disk(work.args.snapshot_id)
    if await pool.find(disk) is not None:
        await pool.rename(disk, unmanaged_disk(work.args.snapshot_id), work.still)


async def take_back(work: Work[Args]) -> None:
    pool, name = work.world.pools[work.args.pool], unmanaged_disk(work.args.snapshot_id)
    if await pool.find(name) is not None:
        await pool.rename(name, snapshot_disk(work.args.snapshot_id), work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    forget(tx, work.args.snapshot_id, work.id)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """The snapshot is as it was; a message says why."""
    snapshots.finish(tx, work.args.snapshot_id, work.id, status=work.args.status, reason=reason)


OPERATION = Operation(
    kind="snapshot_unmanage",
    args=Args,
    steps=(Step("let_go", let_go, undo=take_back),),
    done=done,
    failed=failed,
)
