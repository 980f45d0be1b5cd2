"""Set a snapshot's status by hand, as `volume_reset` does a volume's: to be `available` its disk must be there."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, Invalid, NotFound, WrongState
from cyclades.model.names import snapshot_disk
from cyclades.model.status import SNAPSHOT_ERROR, SNAPSHOT_PROMISES, SNAPSHOT_RESETS
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.turn import ask_to_end, supersede, until_free
from cyclades.store import messages, snapshots, volumes
from cyclades.store.database import Tx

_SUPERSEDED = ("snapshot_reset", "snapshot_purge")
# What a client may say of a snapshot in these.
_UPDATES = {"creating": ("creating", "available", "error"), "deleting": ("deleting", "error_deleting")}


class Args(msgspec.Struct):
    snapshot_id: str
    pool: str
    status: str


def start(tx: Tx, caller: Caller, snapshot_id: str, status: str) -> None:
    """Accept the new status."""
    if status not in SNAPSHOT_RESETS:
        raise Invalid(
            "reset-status",
            f"A snapshot's status is reset to one of {', '.join(sorted(SNAPSHOT_RESETS))}.",
            field="status",
        )
    row = snapshots.hold(tx, snapshot_id, caller.scope)
    if row.operation_id is None and status not in SNAPSHOT_PROMISES:
        _set(tx, caller, row, status)
        return
    supersede(tx, row.id, _SUPERSEDED)
    op_id = new_id()
    args = Args(row.id, volumes.get_even_deleted(tx, row.volume_id).pool, status)
    submit(tx, caller, OPERATION, args, resource_kind="snapshot", resource_id=row.id, op_id=op_id)
    _take(tx, row, op_id)


def update(tx: Tx, caller: Caller, snapshot_id: str, status: str, *, progress: str | None) -> None:
    """For a client that takes or deletes the snapshot itself: what is kept in a status for it goes on to the next."""
    row = snapshots.hold(tx, snapshot_id, caller.scope)
    if row.held_since is None or status not in _UPDATES[row.status]:
        text = f"Provided snapshot status {status} not allowed for snapshot with status {row.status}."
        raise WrongState("snapshot-update-status", text, resource="snapshot", field="status")
    if status in SNAPSHOT_PROMISES:
        start(tx, caller, row.id, status)
    else:
        _set(tx, caller, row, status, progress=progress)


def _set(tx: Tx, caller: Caller, row: Row[Any], status: str, *, progress: str | None = None) -> None:
    """A status that promises nothing, of a snapshot (its row held) that no operation has."""
    snapshots.begin(tx, row, "reset", status=status, op_id=None, reason=_reason(row, status), progress=progress)
    if (text := _text(status)) is not None:
        messages.add(
            tx,
            "snapshot",
            row.id,
            text,
            operation=OPERATION.kind,
            request_id=caller.request_id,
            project_id=row.project_id,
        )


def _text(status: str) -> str | None:
    """For the messages; the snapshot itself shows no reason, since nothing is wrong with it."""
    return f"The status {status} was set by hand." if status in SNAPSHOT_ERROR else None


def _reason(row: Row[Any], status: str) -> str | None:
    """From one error to another, it is the same."""
    return row.reason if {row.status, status} <= SNAPSHOT_ERROR else None


def _take(tx: Tx, row: Row[Any], op_id: str) -> str | None:
    """Make the snapshot (its row held) the operation's, in the status that it has; returns what must end first."""
    if row.operation_id == op_id:
        return None
    if row.operation_id is not None:
        if ask_to_end(tx, row):
            return f"operation {row.operation_id}"
        snapshots.change(tx, row.id, operation_id=None)
    snapshots.begin(tx, row, "reset", status=row.status, op_id=op_id)
    return None


async def take(work: Work[Args]) -> None:
    def taken(tx: Tx) -> str | None:
        try:
            return _take(tx, snapshots.hold(tx, work.args.snapshot_id, None), work.id)
        except NotFound:
            return None  # what had it has deleted it

    await until_free(work, lambda: work.world.db.write(taken))


async def look(work: Work[Args]) -> None:
    """Raises `Failed` unless the snapshot is what its new status says."""
    pool = work.world.pools[work.args.pool]
    if work.args.status in SNAPSHOT_PROMISES and await pool.find(snapshot_disk(work.args.snapshot_id)) is None:
        raise Failed("The pool has no disk of this snapshot: it can only be deleted.")


def done(tx: Tx, work: Work[Args]) -> None:
    text = _text(work.args.status)
    found = snapshots.finish(tx, work.args.snapshot_id, work.id, status=work.args.status, progress=None)
    if found and text is not None:
        messages.tell(tx, work.id, text)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    snapshots.finish(tx, work.args.snapshot_id, work.id, status="error", reason=reason)


OPERATION = Operation(
    kind="snapshot_reset",
    args=Args,
    steps=(Step("take", take), Step("look", look)),
    done=done,
    failed=failed,
)
