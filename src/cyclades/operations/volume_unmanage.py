"""Let go of a volume: its row goes, and its pool keeps the disk, under a name that is nobody's."""

from __future__ import annotations

import msgspec

from cyclades.model import capabilities
from cyclades.model.caller import Caller
from cyclades.model.names import unmanaged_disk, volume_disk
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.volume_delete import refuse_if_attached, refuse_if_snapshots
from cyclades.operations.volume_gone import forget
from cyclades.store import attachments, volumes
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    """`status` is the volume's before."""

    volume_id: str
    pool: str
    status: str


def start(tx: Tx, caller: Caller, volume_id: str) -> None:
    """Accept it. A volume that is plugged somewhere or has snapshots stays."""
    row = volumes.hold(tx, volume_id, caller.scope)
    capabilities.require_pool(row.pool, "disks that live on by themselves")
    refuse_if_snapshots(tx, row)
    refuse_if_attached(attachments.of_volume(tx, row.id))
    op_id = new_id()
    volumes.begin(tx, row, "unmanage", status="unmanaging", op_id=op_id)
    args = Args(row.id, row.pool, row.status)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)


async def let_go(work: Work[Args]) -> None:
    """A volume in error may have no disk: then there is nothing to keep."""
    pool, disk = work.world.pools[work.args.pool], volume_disk(work.args.volume_id)
    if await pool.find(disk) is not None:
        await pool.rename(disk, unmanaged_disk(work.args.volume_id), work.still)


async def take_back(work: Work[Args]) -> None:
    pool, name = work.world.pools[work.args.pool], unmanaged_disk(work.args.volume_id)
    if await pool.find(name) is not None:
        await pool.rename(name, volume_disk(work.args.volume_id), work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    forget(tx, work.args.volume_id, work.id)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """The volume is as it was; a message says why."""
    volumes.finish(tx, work.args.volume_id, work.id, status=work.args.status, reason=reason)


OPERATION = Operation(
    kind="volume_unmanage",
    args=Args,
    steps=(Step("let_go", let_go, undo=take_back),),
    done=done,
    failed=failed,
)
