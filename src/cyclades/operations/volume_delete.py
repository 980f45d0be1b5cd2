"""Delete a volume. Volumes and snapshots that were made from it live on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.model import capabilities
from cyclades.model.caller import Caller
from cyclades.model.errors import WrongState
from cyclades.model.names import volume_disk
from cyclades.operations import volume_remove
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.turn import wait_for_users
from cyclades.operations.volume_gone import forget
from cyclades.store import attachments, volumes
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    volume_id: str
    pool: str


def start(tx: Tx, caller: Caller, volume_id: str) -> None:
    """Accept the deletion. A volume that has snapshots stays, and one that is plugged somewhere and could be
    detached."""
    row = volumes.hold(tx, volume_id, caller.scope)
    refuse_if_snapshots(tx, row)
    attached = attachments.of_volume(tx, row.id)
    if attached and capabilities.lives_on_server(row.pool):
        volume_remove.start(tx, caller, attached[0])
        return
    refuse_if_attached(attached)
    op_id = new_id()
    volumes.begin(tx, row, "delete", status="deleting", op_id=op_id)
    submit(tx, caller, OPERATION, Args(row.id, row.pool), resource_kind="volume", resource_id=row.id, op_id=op_id)


def refuse_if_snapshots(tx: Tx, row: Row[Any]) -> None:
    if volumes.has_snapshots(tx, row.id):
        text = f"Invalid volume: volume {row.id} still has snapshots; delete them first."
        raise WrongState("volume-has-snapshots", text, resource="volume")


def refuse_if_attached(attached: Sequence[Row[Any]]) -> None:
    for one in attached:
        text = f"Invalid volume: volume {one.volume_id} is attached to {attachments.place(one)}; detach it first."
        raise WrongState("volume-delete", text, resource="volume")


async def wait(work: Work[Args]) -> None:
    """What was asked to be made from the volume before is made from it."""
    await wait_for_users(work, work.args.volume_id)


async def remove_disk(work: Work[Args]) -> None:
    await work.world.pools[work.args.pool].delete(volume_disk(work.args.volume_id), still=work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    forget(tx, work.args.volume_id, work.id)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    volumes.finish(tx, work.args.volume_id, work.id, status="error_deleting", reason=reason)


OPERATION = Operation(
    kind="volume_delete",
    args=Args,
    steps=(Step("wait", wait), Step("remove_disk", remove_disk, final=True)),
    done=done,
    failed=failed,
)
