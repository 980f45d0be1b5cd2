"""Adopt a disk that exists in a pool as a volume. How large it is shows when the pool is asked; then its quota is
taken."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, Invalid, Refusal
from cyclades.model.names import OURS, unmanaged_disk, volume_disk
from cyclades.model.units import GIB, gib_to_hold
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.new_volume import check_metadata, check_size, checked_zone
from cyclades.pools.base import Adoptable, Pool
from cyclades.store import operations, quotas, volume_types, volumes
from cyclades.store.database import Tx
from cyclades.store.pools import require_open


@dataclass(frozen=True)
class Wanted:
    """`source` is the disk's present name, as the pool knows it. `type` is a name or an id, None: the default."""

    pool: str
    source: str
    name: str | None = None
    description: str | None = None
    type: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    availability_zone: str | None = None
    bootable: bool = False


class Args(msgspec.Struct):
    volume_id: str
    pool: str
    source: str


def start(tx: Tx, caller: Caller, settings: Settings, wanted: Wanted) -> str:
    """Accept it; returns the volume's id. Its status is `managing`, then `available`, or `error_managing` with a
    reason."""
    refuse_ours(wanted.source)
    if wanted.type is None:
        type_row = volume_types.default(tx, caller.project_id)
    else:
        type_row = volume_types.find(tx, wanted.type, caller.scope)
    kind = capabilities.kind_of(type_row.extra_specs, settings.storage)
    if kind.pool != wanted.pool:
        raise Invalid(
            "manage-type",
            f"Volume type {type_row.name} keeps its disks in pool {kind.pool}, the disk lies in pool {wanted.pool}: "
            "name a volume_type that keeps its disks there.",
            field="volume_type",
        )
    require_open(tx, kind.pool)
    check_metadata(settings, wanted.metadata)
    volume_id, op_id = new_id(), new_id()
    volumes.add(
        tx,
        volume_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        name=wanted.name,
        description=wanted.description,
        status="managing",
        size=0,
        volume_type_id=type_row.id,
        pool=kind.pool,
        bootable=wanted.bootable,
        multiattach=capabilities.wants_multiattach(type_row.extra_specs),
        metadata=wanted.metadata,
        availability_zone=checked_zone(settings, type_row, wanted.availability_zone),
        operation_id=op_id,
    )
    quotas.take(tx, settings.quotas, caller.project_id, quota.of_volume(0, type_id=type_row.id))
    args = Args(volume_id, kind.pool, wanted.source)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=volume_id, op_id=op_id)
    return volume_id


def refuse_ours(name: str) -> None:
    if name.startswith(OURS):
        raise Invalid("manage-managed", f"Unable to manage {name}: it is already managed.", field="ref")


async def find(pool: Pool, name: str) -> Adoptable:
    """What is to be adopted, or `Failed`."""
    found = next((each for each in await pool.adoptable() if each.name == name), None)
    if found is None:
        raise Failed(f"Pool {pool.name} has nothing that is called {name} and could be adopted.")
    if found.reason is not None:
        raise Failed(f"{name} cannot be adopted: {found.reason}")
    return found


async def measure(work: Work[Args]) -> None:
    if "size" in work.data:
        return
    found = await find(work.world.pools[work.args.pool], work.args.source)
    if found.snapshot_of is not None:
        raise Failed(f"{work.args.source} is a snapshot, not a volume.")
    size = max(gib_to_hold(found.size), 1)
    try:
        check_size(work.world.settings, size)
        await work.world.db.write(lambda tx: _count(tx, work, size))
    except Refusal as refusal:
        raise Failed(refusal.message) from refusal
    work.data["size"] = size


def _count(tx: Tx, work: Work[Args], size: int) -> None:
    """The size and its quota, recorded in the same transaction."""
    row: Row[tuple[object, ...]] = volumes.hold(tx, work.args.volume_id, None)
    growth = quota.of_growth(size - row.size, type_id=row.volume_type_id)
    quotas.take(tx, work.world.settings.quotas, row.project_id, growth, volume_size=size)
    volumes.change(tx, row.id, size=size)
    operations.record(tx, work.id, work.token, data={**work.data, "size": size})


async def adopt(work: Work[Args]) -> None:
    args = work.args
    pool, size = work.world.pools[args.pool], work.data["size"] * GIB
    await pool.adopt(volume_disk(args.volume_id), args.source, size, work.progress)


async def give_back(work: Work[Args]) -> None:
    """What was adopted already stays in the pool under a name by which it can be adopted again."""
    pool, disk = work.world.pools[work.args.pool], volume_disk(work.args.volume_id)
    if await pool.find(disk) is None:
        await pool.delete(disk)  # a copy that is not whole
    else:
        await pool.rename(disk, unmanaged_disk(work.args.volume_id), work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    volumes.finish(tx, work.args.volume_id, work.id, status="available")


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    volumes.finish(tx, work.args.volume_id, work.id, status="error_managing", reason=reason)


OPERATION = Operation(
    kind="volume_manage",
    args=Args,
    steps=(Step("measure", measure), Step("adopt", adopt, undo=give_back)),
    done=done,
    failed=failed,
)
