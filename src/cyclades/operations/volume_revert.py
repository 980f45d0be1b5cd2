"""Give a volume, at rest, the content of its most recent snapshot again. It keeps its size, with zeros at its end where
it has grown since.
"""

from __future__ import annotations

import msgspec

from cyclades.model.caller import Caller
from cyclades.model.errors import Invalid
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.store import snapshots, volumes
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    """`status` is the volume's before."""

    volume_id: str
    snapshot_id: str
    pool: str
    status: str


def start(tx: Tx, caller: Caller, volume_id: str, snapshot_id: str | None) -> None:
    """Accept the revert. Until it has ended the snapshot is `restoring`."""
    row = volumes.get(tx, volume_id, caller.scope)
    own = snapshots.of_volume(tx, row.id, row.project_id)
    if not own:
        raise Invalid("revert-no-snapshot", f"Volume {row.id} doesn't have any snapshots.", field="snapshot_id")
    if snapshot_id != own[0].id:
        raise Invalid(
            "revert-latest",
            f"Specified snapshot {snapshot_id} is None or not the latest one of volume {row.id}: that is {own[0].id}.",
            field="snapshot_id",
        )
    op_id = new_id()
    volumes.begin(tx, row, "revert", status="reverting", op_id=op_id)
    snapshots.begin(tx, own[0], "revert", status="restoring", op_id=op_id)
    args = Args(row.id, own[0].id, row.pool, row.status)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)


async def revert(work: Work[Args]) -> None:
    args = work.args
    await work.record(begun=True)
    pool = work.world.pools[args.pool]
    await pool.revert(volume_disk(args.volume_id), snapshot_disk(args.snapshot_id), work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    volumes.finish(tx, work.args.volume_id, work.id, status="available")
    snapshots.finish(tx, work.args.snapshot_id, work.id, status="available")


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """What the volume holds now is not known, once the pool was asked; reverting again may help."""
    status = "error" if work.data.get("begun") else work.args.status
    volumes.finish(tx, work.args.volume_id, work.id, status=status, reason=reason)
    snapshots.finish(tx, work.args.snapshot_id, work.id, status="available")


OPERATION = Operation(
    kind="volume_revert",
    args=Args,
    steps=(Step("revert", revert, final=True),),
    done=done,
    failed=failed,
)
