"""Set a volume's status by hand: the way out for an admin, which tells no lie that somebody would act on.

A status that promises nothing (an error, or one in which nothing can be done) is set at once. One that promises a disk
that works is given when that was looked at: the disk is there, its size is the volume's, and whether a server has it is
as the status says. What an operation has is asked to turn back first. Nothing here takes a disk from a server that has
it: that is `volume_detach.force`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.model import attachments as rules
from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, Invalid, NotFound, Refusal, WrongState
from cyclades.model.names import volume_disk
from cyclades.model.status import VOLUME_ERROR, VOLUME_PROMISES, VOLUME_RESETS
from cyclades.model.units import GIB
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.disk_owner import set_free
from cyclades.operations.turn import ask_to_end, supersede, until_free
from cyclades.store import attachments, messages, quotas, transfers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now

_SUPERSEDED = ("volume_reset", "volume_purge")
# In these a volume without any attachment is free again.
_ATTACHMENT_STATUSES = frozenset({"in-use", "attaching", "detaching", "reserved"})


class Args(msgspec.Struct):
    volume_id: str
    status: str


def start(tx: Tx, caller: Caller, volume_id: str, *, status: str | None, attach_status: str | None = None) -> None:
    """Accept the new status. `attach_status` "detached" forgets the attachments that clients keep for themselves;
    "attached" is true already or refused."""
    if status is not None and status not in VOLUME_RESETS:
        raise Invalid(
            "reset-status", f"A volume's status is reset to one of {', '.join(sorted(VOLUME_RESETS))}.", field="status"
        )
    row = volumes.hold(tx, volume_id, caller.scope)
    if attach_status == "detached":
        _forget_clients(tx, row)
        if status is None and row.status in _ATTACHMENT_STATUSES:
            status = "available"
    elif attach_status == "attached":
        _require_attached(tx, row)
    if status is None:
        return
    if row.operation_id is None:
        _refuse_lie(tx, row, status)
        if status not in VOLUME_PROMISES:
            _set(tx, caller, row, status)
            return
    supersede(tx, row.id, _SUPERSEDED)
    op_id = new_id()
    args = Args(row.id, status)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)
    _take(tx, row, op_id)


def _forget_clients(tx: Tx, row: Row[Any]) -> None:
    for one in attachments.of_volume(tx, row.id):
        if one.server_id is not None:
            text = f"Invalid volume: volume {row.id} is plugged into server {one.server_id}: detach it, or force that."
            raise WrongState("reset-plugged", text, resource="volume", field="attach_status")
        attachments.change(tx, one.id, deleted_at=now())


def _refuse_lie(tx: Tx, row: Row[Any], status: str) -> None:
    """What can be told from the rows."""
    attached = attachments.of_volume(tx, row.id)
    if status == "available" and attached:
        text = f"Invalid volume: volume {row.id} is attached to {attachments.place(attached[0])}: detach it first."
        raise WrongState("reset-attached", text, resource="volume", field="status")
    if status == "in-use":
        _require_attached(tx, row)


def _require_attached(tx: Tx, row: Row[Any]) -> None:
    if not attachments.of_volume(tx, row.id):
        text = f"Invalid volume: volume {row.id} is not attached to anything."
        raise WrongState("reset-not-attached", text, resource="volume")


def _set(tx: Tx, caller: Caller, row: Row[Any], status: str) -> None:
    volumes.begin(tx, row, "reset", status=status, op_id=None, reason=_reason(row, status))
    transfers.end_of_volume(tx, row.id)
    if (text := _text(status)) is not None:
        messages.add(
            tx,
            "volume",
            row.id,
            text,
            operation=OPERATION.kind,
            request_id=caller.request_id,
            project_id=row.project_id,
        )


def _text(status: str) -> str | None:
    """For the messages; the volume itself shows no reason, since nothing is wrong with it."""
    return f"The status {status} was set by hand." if status in VOLUME_ERROR else None


def _reason(row: Row[Any], status: str) -> str | None:
    """From one error to another, it is the same."""
    return row.reason if {row.status, status} <= VOLUME_ERROR else None


def _take(tx: Tx, row: Row[Any], op_id: str) -> str | None:
    """Make the volume (its row held) the operation's, in the status that it has; returns what must end first."""
    if row.operation_id == op_id:
        return None
    if row.operation_id is not None:
        if ask_to_end(tx, row):
            return f"operation {row.operation_id}"
        volumes.change(tx, row.id, operation_id=None)
    volumes.begin(tx, row, "reset", status=row.status, op_id=op_id)
    return None


async def take(work: Work[Args]) -> None:
    def taken(tx: Tx) -> str | None:
        try:
            return _take(tx, volumes.hold(tx, work.args.volume_id, None), work.id)
        except NotFound:
            return None  # what had it has deleted it
        except Refusal as refusal:
            raise Failed(refusal.message) from refusal

    await until_free(work, lambda: work.world.db.write(taken))


async def look(work: Work[Args]) -> None:
    """Raises `Failed` unless the volume is what its new status says."""
    args = work.args
    if args.status not in VOLUME_PROMISES:
        return
    row, attached = await work.world.db.read(
        lambda tx: (volumes.get_even_deleted(tx, args.volume_id), attachments.of_volume(tx, args.volume_id))
    )
    if args.status == "available" and attached:
        raise Failed(f"The volume is attached to {attachments.place(attached[0])}: detach it first.")
    if args.status == "in-use" and not attached:
        raise Failed("The volume is not attached to anything.")
    if not any(one.server_id is not None for one in attached):
        await set_free(work.world, row.pool, row.id)
    disk = await work.world.pools[row.pool].find(volume_disk(row.id))
    if disk is None:
        raise Failed("The pool has no disk of this volume: it can only be deleted.")
    work.data["size"] = disk.size // GIB


def done(tx: Tx, work: Work[Args]) -> None:
    try:
        row = volumes.get(tx, work.args.volume_id, None)
    except NotFound:
        return
    size = work.data.get("size", row.size)
    if not volumes.finish(tx, row.id, work.id, status=work.args.status, size=size):
        return
    transfers.end_of_volume(tx, row.id)
    if (text := _text(work.args.status)) is not None:
        messages.tell(tx, work.id, text)
    if size != row.size:
        change = quota.of_growth(abs(size - row.size), type_id=row.volume_type_id, consumes=row.consumes_quota)
        # Not `take`: what is there counts, whatever the limit.
        (quotas.count if size > row.size else quotas.give_back)(tx, row.project_id, change)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """It is what its attachments make of it, or an error."""
    attached = [one.status for one in attachments.of_volume(tx, work.args.volume_id)]
    status = rules.volume_status("in-use", attached) if attached else "error"
    volumes.finish(tx, work.args.volume_id, work.id, status=status, reason=reason)


OPERATION = Operation(
    kind="volume_reset", args=Args, steps=(Step("take", take), Step("look", look)), done=done, failed=failed
)
