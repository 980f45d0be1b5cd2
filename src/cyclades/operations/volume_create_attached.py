"""Create a volume on a server: made and attached by one operation, or neither."""

from __future__ import annotations

from cyclades.config import Settings
from cyclades.model import capabilities
from cyclades.model.caller import Caller
from cyclades.operations import volume_attach
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.new_volume import Plan, Wanted, make_disk, plan, unmake_disk
from cyclades.store import attachments, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Args(volume_attach.Args):
    plan: Plan


def start(tx: Tx, caller: Caller, settings: Settings, wanted: Wanted, server_id: str) -> str:
    """Accept the volume; returns its id. Its status is `creating`, then `in-use`, or `error` with a reason."""
    server = servers.hold(tx, server_id, caller.project_id)
    servers.require(server, caller, "attach")
    op_id = new_id()
    planned = plan(tx, caller, settings, wanted, op_id=op_id, on_server="data")
    volumes.change(tx, planned.volume_id, generation=1)
    row = volumes.get(tx, planned.volume_id, None)
    ends = capabilities.lives_on_server(row.pool)
    attached = volume_attach.add_row(tx, server, row, row.generation, op_id, delete_on_termination=ends)
    args = Args(
        attached.attachment_id,
        attached.server_id,
        attached.backend,
        attached.volume_id,
        attached.pool,
        attached.generation,
        planned,
    )
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)
    return planned.volume_id


async def make(work: Work[Args]) -> None:
    await make_disk(work.world, work.args.plan, work.progress)


async def unmake(work: Work[Args]) -> None:
    if not work.data.get("still_plugged"):
        await unmake_disk(work.world, work.args.plan)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """A server that does not let go of the volume keeps it, as if all had gone well."""
    args = work.args
    if work.data.get("still_plugged"):
        volumes.finish(tx, args.volume_id, work.id, status="in-use", reason=reason)
        attachments.finish(tx, args.attachment_id, work.id, status="attached", attached_at=now())
    else:
        volumes.finish(tx, args.volume_id, work.id, status="error", reason=reason)
        attachments.finish(tx, args.attachment_id, work.id, deleted_at=now())


OPERATION = Operation(
    kind="volume_create_attached",
    args=Args,
    steps=(
        Step("make_disk", make, undo=unmake),
        Step("claim", volume_attach.claim, undo=volume_attach.release),
        Step("plug", volume_attach.plug, undo=volume_attach.unplug),
    ),
    done=volume_attach.done,
    failed=failed,
)
