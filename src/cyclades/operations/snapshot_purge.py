"""Delete a snapshot in whatever state it is: what is going on with it is asked to turn back, or waited for."""

from __future__ import annotations

from contextlib import suppress

from cyclades.model.caller import Caller
from cyclades.model.errors import NotFound
from cyclades.operations import snapshot_delete
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.snapshot_delete import Args
from cyclades.operations.turn import ask_to_end, supersede, until_free
from cyclades.operations.volume_purge import GOING
from cyclades.store import snapshots, volumes
from cyclades.store.database import Tx


def start(tx: Tx, caller: Caller, snapshot_id: str) -> None:
    """Accept the deletion."""
    row = snapshots.hold(tx, snapshot_id, caller.scope)
    if row.status == "deleting" and row.operation_id is not None:
        return
    supersede(tx, row.id, ("snapshot_reset",))
    op_id = new_id()
    args = Args(row.id, row.volume_id, volumes.get_even_deleted(tx, row.volume_id).pool)
    submit(tx, caller, OPERATION, args, resource_kind="snapshot", resource_id=row.id, op_id=op_id)
    _take(tx, op_id, row.id)


def _take(tx: Tx, op_id: str, snapshot_id: str) -> str | None:
    """Make the snapshot the operation's; returns what must end first."""
    try:
        row = snapshots.hold(tx, snapshot_id, None)
    except NotFound:
        return None  # what had it has deleted it
    if row.operation_id == op_id:
        return None
    if row.operation_id is not None:
        if ask_to_end(tx, row, unless=GOING):
            return f"operation {row.operation_id}"
        snapshots.change(tx, row.id, operation_id=None)
    snapshots.begin(tx, row, "purge", status="deleting", op_id=op_id)
    return None


async def take(work: Work[Args]) -> None:
    await until_free(work, lambda: work.world.db.write(lambda tx: _take(tx, work.id, work.args.snapshot_id)))


def done(tx: Tx, work: Work[Args]) -> None:
    with suppress(NotFound):
        snapshot_delete.forget(tx, work.args.snapshot_id, work.id)


OPERATION = Operation(
    kind="snapshot_purge",
    args=Args,
    steps=(
        Step("take", take),
        Step("wait", snapshot_delete.wait),
        Step("remove_disk", snapshot_delete.remove_disk, final=True),
    ),
    done=done,
    failed=snapshot_delete.failed,
)
