"""Give a volume another type. In the same pool that is a matter of rows; to a type that keeps its disks in another pool
the data is copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Invalid, WrongState
from cyclades.model.names import copy_disk, volume_disk
from cyclades.model.status import VOLUME_ACTIONS, wrong_status
from cyclades.model.units import GIB
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.turn import wait_for_users
from cyclades.store import operations, quotas, snapshots, volume_types, volumes
from cyclades.store.database import Tx
from cyclades.store.pools import require_open


class Args(msgspec.Struct):
    """`size` is GiB."""

    volume_id: str
    size: int
    old_type_id: str
    old_pool: str
    new_type_id: str
    new_pool: str


def start(tx: Tx, caller: Caller, settings: Settings, volume_id: str, new_type: str, *, may_move: bool) -> None:
    """Change the type, or accept that. `new_type` is a name or an id; `may_move` allows to copy the data."""
    row = volumes.hold(tx, volume_id, caller.scope)
    new = volume_types.find(tx, new_type, caller.scope)
    if row.status not in VOLUME_ACTIONS["retype"]:
        raise wrong_status("volume", "retype", VOLUME_ACTIONS["retype"], row.status)
    if new.id == row.volume_type_id:
        raise Invalid("retype-same", f"Volume {row.id} is of type {new.name} already.", field="new_type")
    kind = capabilities.kind_of(new.extra_specs, settings.storage)
    if (unmet := capabilities.unmet(new.extra_specs, kind, settings.storage)) is not None:
        raise Invalid("retype-unmet", unmet, field="new_type")
    capabilities.check_zone(new.extra_specs, row.availability_zone)
    multiattach = capabilities.wants_multiattach(new.extra_specs)
    if multiattach != row.multiattach and row.status != "available":
        raise Invalid(
            "retype-multiattach",
            f"Retypes affecting multiattach are only allowed on available volumes; volume {row.id} is {row.status}.",
            field="new_type",
        )
    _take_share(tx, settings, row, new.id)
    if kind.pool == row.pool:
        volumes.begin(tx, row, "retype", status=row.status, op_id=None, volume_type_id=new.id, multiattach=multiattach)
        _give_back_share(tx, row, row.volume_type_id)
        return
    _refuse_move(tx, row, new.name, kind.pool, may_move=may_move)
    require_open(tx, kind.pool)
    op_id = new_id()
    volumes.begin(tx, row, "retype", status="retyping", op_id=op_id, migration_status="migrating")
    args = Args(row.id, row.size, row.volume_type_id, row.pool, new.id, kind.pool)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)


def _refuse_move(tx: Tx, row: Row[Any], type_name: str, pool: str, *, may_move: bool) -> None:
    for end in (row.pool, pool):
        capabilities.require_pool(end, "moves to another pool")
    if not may_move:
        raise Invalid(
            "retype-never",
            f"Retype requires migration but is not allowed: type {type_name} keeps its disks in pool {pool}, volume "
            f"{row.id} lies in pool {row.pool}. Ask with migration_policy 'on-demand'.",
            field="migration_policy",
        )
    if row.status == "in-use":
        raise WrongState(
            "retype-in-use-other-pool",
            f"Invalid volume: volume {row.id} is in use, and goes to another pool only at rest: detach it first.",
            resource="volume",
        )
    if snapshots.of_volume(tx, row.id, None):  # also those that stayed with a former project: they lie where it lies
        raise WrongState(
            "retype-snapshots-other-pool",
            f"Invalid volume: Volume must not have snapshots to go to another pool; delete those of {row.id} first.",
            resource="volume",
        )


def _shares(tx: Tx, row: Row[Any], type_id: str) -> dict[str, Counter[str]]:
    """What a volume and its snapshots count for this type, by project: a snapshot may be another's than its volume."""
    found: dict[str, Counter[str]] = {}

    def add(project_id: str, amounts: quota.Amounts) -> None:
        found.setdefault(project_id, Counter()).update(quota.type_share(amounts))

    add(row.project_id, quota.of_volume(row.size, type_id=type_id, consumes=row.consumes_quota))
    for snapshot in snapshots.of_volume(tx, row.id, None):
        add(snapshot.project_id, quota.of_snapshot(snapshot.size, type_id=type_id))
    return found


def _take_share(tx: Tx, settings: Settings, row: Row[Any], type_id: str) -> None:
    for project_id, amounts in sorted(_shares(tx, row, type_id).items()):
        quotas.take(tx, settings.quotas, project_id, amounts)


def _give_back_share(tx: Tx, row: Row[Any], type_id: str) -> None:
    for project_id, amounts in sorted(_shares(tx, row, type_id).items()):
        quotas.give_back(tx, project_id, amounts)


async def copy(work: Work[Args]) -> None:
    args, pools = work.args, work.world.pools
    disk = volume_disk(args.volume_id)

    async def write(target: Path, fds: Sequence[int]) -> None:
        await pools[args.old_pool].export(disk, target, "qcow2", work.progress, fds=fds)

    # Not yet under the volume's name, so that nothing that an earlier move left there is taken for it.
    await pools[args.new_pool].receive(copy_disk(work.id), args.size * GIB, write, work.still)


async def uncopy(work: Work[Args]) -> None:
    if not work.data.get("switched"):
        await work.world.pools[work.args.new_pool].delete(copy_disk(work.id), still=work.still)


async def name(work: Work[Args]) -> None:
    new = work.world.pools[work.args.new_pool]
    await new.rename(copy_disk(work.id), volume_disk(work.args.volume_id), work.still)


async def unname(work: Work[Args]) -> None:
    new = work.world.pools[work.args.new_pool]
    if not work.data.get("switched") and await new.find(copy_disk(work.id)) is None:
        await new.rename(volume_disk(work.args.volume_id), copy_disk(work.id), work.still)


async def switch(work: Work[Args]) -> None:
    args = work.args
    await work.world.db.write(lambda tx: _put(tx, work, args.new_pool, args.new_type_id, switched=True))


async def unswitch(work: Work[Args]) -> None:
    """Back to the old disk, as long as it is there. If it is gone, the new one it is."""
    args = work.args
    old, disk = work.world.pools[args.old_pool], volume_disk(args.volume_id)
    if await old.find(disk) is None:
        return
    await old.extend(disk, args.size * GIB)  # changes nothing, but waits for an engine that is about to remove it
    await work.world.db.write(lambda tx: _put(tx, work, args.old_pool, args.old_type_id, switched=False))


def _put(tx: Tx, work: Work[Args], pool: str, type_id: str, *, switched: bool) -> None:
    """Say where the volume lies, and that this is said."""
    work.data["switched"] = switched
    operations.record(tx, work.id, work.token, data=work.data)
    multiattach = capabilities.wants_multiattach(volume_types.get(tx, type_id, None).extra_specs)
    volumes.change(tx, work.args.volume_id, pool=pool, volume_type_id=type_id, multiattach=multiattach)


async def wait(work: Work[Args]) -> None:
    """For volumes that are being made from the old disk, asked for before this."""
    await wait_for_users(work, work.args.volume_id)


async def remove_old(work: Work[Args]) -> None:
    await work.world.pools[work.args.old_pool].delete(volume_disk(work.args.volume_id), still=work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    row = volumes.get(tx, work.args.volume_id, None)
    if volumes.finish(tx, row.id, work.id, status="available", migration_status="success"):
        _give_back_share(tx, row, work.args.old_type_id)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """The volume is whole either way, in the old pool or in the new one; a message says what went wrong."""
    if work.data.get("switched"):
        done(tx, work)
        return
    row = volumes.get(tx, work.args.volume_id, None)
    if volumes.finish(tx, row.id, work.id, status="available", migration_status="error"):
        _give_back_share(tx, row, work.args.new_type_id)


OPERATION = Operation(
    kind="volume_retype",
    args=Args,
    steps=(
        Step("copy", copy, undo=uncopy),
        Step("name", name, undo=unname),
        Step("switch", switch, undo=unswitch),
        Step("wait", wait),
        Step("remove_old", remove_old),
    ),
    done=done,
    failed=failed,
)
