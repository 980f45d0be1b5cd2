"""Create a volume: empty, or filled from an image, a snapshot or another volume."""

from __future__ import annotations

from cyclades.config import Settings
from cyclades.model.caller import Caller
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.new_volume import Plan, Wanted, make_disk, plan, unmake_disk
from cyclades.store import volumes
from cyclades.store.database import Tx


def start(tx: Tx, caller: Caller, settings: Settings, wanted: Wanted) -> str:
    """Accept the volume; returns its id. Its status is `creating`, then `available`, or `error` with a reason."""
    op_id = new_id()
    planned = plan(tx, caller, settings, wanted, op_id=op_id)
    submit(tx, caller, OPERATION, planned, resource_kind="volume", resource_id=planned.volume_id, op_id=op_id)
    return planned.volume_id


async def make(work: Work[Plan]) -> None:
    await make_disk(work.world, work.args, work.progress)


async def unmake(work: Work[Plan]) -> None:
    await unmake_disk(work.world, work.args)


def done(tx: Tx, work: Work[Plan]) -> None:
    volumes.finish(tx, work.args.volume_id, work.id, status="available")


def failed(tx: Tx, work: Work[Plan], reason: str) -> None:
    # That no pool has what the type asks for is told by a message alone, as in Cinder: clients that try this hold the
    # volume against a closed schema (tempest.api.volume.admin.test_user_messages).
    told = None if work.args.unmet is not None else reason
    volumes.finish(tx, work.args.volume_id, work.id, status="error", reason=told)


OPERATION = Operation(
    kind="volume_create",
    args=Plan,
    steps=(Step("make_disk", make, undo=unmake),),
    done=done,
    failed=failed,
)
