"""Delete a server, in whatever state it is: its volumes go with it or stay, as their attachments say."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Away
from cyclades.model.names import volume_disk
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.server_spec import owner
from cyclades.operations.turn import others, wait_for_turn
from cyclades.operations.volume_gone import forget
from cyclades.store import attachments, operations, quotas, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Args(msgspec.Struct):
    server_id: str
    backend: str


def start(tx: Tx, caller: Caller, server_id: str) -> None:
    """Accept the deletion; what else was going on with the server is cancelled, or waited for."""
    server = servers.hold(tx, server_id, caller.scope)
    servers.require_unlocked(server, caller)
    if server.task_state == servers.DELETING:
        return
    for other in others(tx, server.id):
        operations.cancel(tx, other.id)
    op_id = new_id()
    servers.take_over(tx, server, op_id=op_id)
    args = Args(server.id, server.backend)
    submit(tx, caller, OPERATION, args, resource_kind="server", resource_id=server.id, op_id=op_id)


async def wait(work: Work[Args]) -> None:
    await wait_for_turn(work, work.args.server_id)


async def take_away(work: Work[Args]) -> None:
    await work.world.backends[work.args.backend].delete(work.args.server_id, trail=work)


async def part(work: Work[Args]) -> None:
    """Give its volumes free, and decide which of them go."""
    args = work.args
    plugged = await work.world.db.read(lambda tx: attachments.with_volumes(tx, args.server_id))
    for row in plugged:
        pool = work.world.pools[row.pool]
        await pool.release(volume_disk(row.volume_id), owner(args.backend, args.server_id), row.generation)
    work.data["doomed"] = await work.world.db.write(lambda tx: _part_rows(tx, work))


def _part_rows(tx: Tx, work: Work[Args]) -> list[list[str]]:
    """Volume and pool of each volume that goes, recorded in the same transaction."""
    doomed = list(work.data.get("doomed", []))
    for row in attachments.with_volumes(tx, work.args.server_id):
        volume = volumes.hold(tx, row.volume_id, None)
        if volume.operation_id is not None:
            raise Away(f"Waits until volume {volume.id} is no longer {volume.status}.")
        attachments.change(tx, row.id, deleted_at=now(), operation_id=None)
        # One that has snapshots cannot go before them, and one that others have is theirs too: it stays.
        stays = volumes.has_snapshots(tx, volume.id) or attachments.of_volume(tx, volume.id)
        if row.delete_on_termination and not stays:
            volumes.begin(tx, volume, "part", status="deleting", op_id=work.id)
            doomed.append([volume.id, volume.pool])
        else:
            _count(tx, volume)
            volumes.begin(tx, volume, "part", status=attachments.volume_status(tx, volume), op_id=None)
    operations.record(tx, work.id, work.token, data={**work.data, "doomed": doomed})
    return doomed


def _count(tx: Tx, volume: Row[Any]) -> None:
    """A root that was booted by an image, and outlives its server, is a volume like any other from now on."""
    if not volume.consumes_quota:
        amounts = quota.of_volume(volume.size, type_id=volume.volume_type_id)
        del amounts[quota.DISK]  # which counted all the time
        quotas.count(tx, volume.project_id, amounts)
        volumes.change(tx, volume.id, consumes_quota=True)


async def delete_disks(work: Work[Args]) -> None:
    for volume_id, pool in work.data["doomed"]:
        await work.world.pools[pool].delete(volume_disk(volume_id), still=work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    for volume_id, _ in work.data["doomed"]:
        forget(tx, volume_id, work.id)
    server = servers.get(tx, work.args.server_id, None)
    if servers.finish(tx, server.id, work.id, status="DELETED", power="missing", deleted_at=now()):
        amounts = quota.of_server(server.flavor["vcpus"], server.flavor["ram"])
        quotas.give_back(tx, server.project_id, amounts)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """Deleting it again goes on from here."""
    servers.finish(tx, work.args.server_id, work.id, status="ERROR", reason=reason)
    doomed: list[Any] = work.data.get("doomed", [])
    for volume_id, _ in doomed:
        volumes.finish(tx, volume_id, work.id, status="error_deleting", reason=reason)


OPERATION = Operation(
    kind="server_delete",
    args=Args,
    steps=(
        Step("wait", wait),
        Step("take_away", take_away, final=True),
        Step("part", part, final=True),
        Step("delete_disks", delete_disks, final=True),
    ),
    done=done,
    failed=failed,
)
