"""Delete a volume. Volumes and snapshots that were made from it live on."""

from __future__ import annotations

import msgspec

from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import WrongState
from cyclades.model.names import volume_disk
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.store import quotas, volume_types, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Args(msgspec.Struct):
    volume_id: str
    pool: str


def start(tx: Tx, caller: Caller, volume_id: str) -> None:
    """Accept the deletion. A volume that is plugged somewhere or has snapshots stays."""
    row = volumes.get(tx, volume_id, caller.scope)
    if volumes.has_snapshots(tx, row.id):
        raise WrongState(
            "volume-has-snapshots",
            f"Invalid volume: volume {row.id} still has snapshots; delete them first.",
            resource="volume",
        )
    if volumes.attachments_of(tx, [row.id]):
        raise WrongState(
            "volume-delete",
            f"Invalid volume: volume {row.id} is attached to a server; detach it first.",
            resource="volume",
        )
    op_id = new_id()
    volumes.begin(tx, row, "delete", status="deleting", op_id=op_id)
    submit(tx, caller, OPERATION, Args(row.id, row.pool), resource_kind="volume", resource_id=row.id, op_id=op_id)


async def remove_disk(work: Work[Args]) -> None:
    await work.world.pools[work.args.pool].delete(volume_disk(work.args.volume_id))


def done(tx: Tx, work: Work[Args]) -> None:
    forget(tx, work.args.volume_id, work.id)


def forget(tx: Tx, volume_id: str, op_id: str) -> None:
    """The disk is gone: so is the volume, and it no longer counts."""
    row = volumes.get(tx, volume_id, None)
    if volumes.finish(tx, volume_id, op_id, status="deleted", deleted_at=now()):
        type_name = volume_types.name_of(tx, row.volume_type_id)
        quotas.give_back(tx, row.project_id, quota.of_volume(row.size, type_name, consumes=row.consumes_quota))


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    volumes.finish(tx, work.args.volume_id, work.id, status="error_deleting", reason=reason)


OPERATION = Operation(
    kind="volume_delete",
    args=Args,
    steps=(Step("remove_disk", remove_disk, final=True),),
    done=done,
    failed=failed,
)
