"""A new volume: its rules and row, and how its disk is made. Creating a volume and creating a server share this."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, Invalid
from cyclades.model.names import image_disk, snapshot_disk, volume_disk
from cyclades.model.status import SNAPSHOT_ACTIONS, VOLUME_ACTIONS, wrong_status
from cyclades.model.units import GIB, gib_to_hold
from cyclades.operations import image_in_pool, image_mapping
from cyclades.operations.base import World, new_id
from cyclades.operations.live import find_live, require_freezable
from cyclades.pools.base import Progress, no_progress
from cyclades.store import images, quotas, snapshots, volume_types, volumes
from cyclades.store.database import Tx
from cyclades.store.pools import require_open

Source = Literal["blank", "image", "snapshot", "volume"]
OnServer = Literal["root", "data"] | None  # as what a server gets it


@dataclass(frozen=True)
class Wanted:
    """A volume as somebody asks for it. `size` is GiB, None: as large as its source. `type` is a name or an id,
    None: the source volume's or the default. `consumes_quota` False is a root booted by `imageRef`: it counts in
    `cyclades.disk` alone."""

    size: int | None = None
    name: str | None = None
    description: str | None = None
    type: str | None = None
    source: Source = "blank"
    source_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    availability_zone: str | None = None
    consumes_quota: bool = True


class Plan(msgspec.Struct):
    """How the disk of a new volume is made. `size` is GiB. `copy_id` names the passing snapshot through which a
    volume is copied. `unmet` is why no pool can make it: as in Cinder, the volume then ends in `error`."""

    volume_id: str
    pool: str
    size: int
    source: Source = "blank"
    source_id: str | None = None
    copy_id: str | None = None
    unmet: str | None = None


@dataclass(frozen=True)
class _Origin:
    """What a source says about the volume made from it."""

    least: int = 1  # GiB
    volume_type_id: str | None = None
    pool: str | None = None
    image: Row[Any] | None = None
    values: dict[str, Any] = field(default_factory=dict)


def plan(tx: Tx, caller: Caller, settings: Settings, wanted: Wanted, *, op_id: str, on_server: OnServer = None) -> Plan:
    """Check the rules, add the row in status `creating`, owned by the operation `op_id`, and take the quota.
    `on_server`: it is made for a server, and need not live without one."""
    wanted = _of_bytes(tx, caller, wanted)
    origin = _origin(tx, caller, wanted)
    size = _size(settings, wanted, origin)
    type_row = _type(tx, caller, wanted, origin)
    kind = capabilities.kind_of(type_row.extra_specs, settings.storage)
    if on_server is None:
        capabilities.require_detachable(kind, settings.storage)
    capabilities.require_fill(kind, settings.storage, source=wanted.source, is_root=on_server == "root")
    if origin.pool is not None:
        capabilities.require_pool(origin.pool, "clones")
    if wanted.source == "volume" and wanted.source_id is not None:
        require_freezable(tx, settings, volumes.get(tx, wanted.source_id, None))
    if origin.pool is not None and origin.pool != kind.pool:
        raise Invalid(
            "source-in-other-pool",
            f"Volume type {type_row.name} keeps its disks in pool {kind.pool}, the source lies in pool {origin.pool}: "
            "a volume is made in its source's pool.",
            field="volume_type",
        )
    if origin.image is not None:
        image_in_pool.require(tx, caller, origin.image, kind.pool)
    require_open(tx, kind.pool)
    zone = checked_zone(settings, type_row, wanted.availability_zone)
    check_metadata(settings, wanted.metadata)
    volume_id = new_id()
    volumes.add(
        tx,
        volume_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        name=wanted.name,
        description=wanted.description,
        status="creating",
        size=size,
        volume_type_id=type_row.id,
        pool=kind.pool,
        multiattach=capabilities.wants_multiattach(type_row.extra_specs),
        consumes_quota=wanted.consumes_quota,
        metadata=wanted.metadata,
        availability_zone=zone,
        operation_id=op_id,
        **origin.values,
    )
    amounts = quota.of_volume(size, type_id=type_row.id, consumes=wanted.consumes_quota)
    quotas.take(tx, settings.quotas, caller.project_id, amounts, volume_size=size)
    copy_id = new_id() if wanted.source == "volume" else None
    unmet = capabilities.unmet(type_row.extra_specs, kind, settings.storage)
    return Plan(volume_id, kind.pool, size, wanted.source, wanted.source_id, copy_id, unmet)


def _of_bytes(tx: Tx, caller: Caller, wanted: Wanted) -> Wanted:
    """What is made from an image of volumes is made from the snapshot of its root."""
    if wanted.source == "image" and wanted.source_id is not None:
        image = images.usable(tx, caller, wanted.source_id)
        snapshot_id = None if image.size else image_mapping.root_snapshot(image)
        if snapshot_id is not None:
            return replace(wanted, source="snapshot", source_id=snapshot_id)
    return wanted


def _origin(tx: Tx, caller: Caller, wanted: Wanted) -> _Origin:
    """The source is held: a deletion that comes later finds the operation that this transaction adds, and waits."""
    if wanted.source == "blank":
        return _Origin()
    assert wanted.source_id is not None
    if wanted.source == "image":
        image = images.usable(tx, caller, wanted.source_id)
        least = least_size(image)
        values = {"image_id": image.id, "bootable": True, "image_metadata": images.as_volume_metadata(image)}
        return _Origin(least, image=image, values=values)
    if wanted.source == "snapshot":
        snapshot = snapshots.hold(tx, wanted.source_id, caller.scope)
        if snapshot.status not in SNAPSHOT_ACTIONS["clone"]:
            raise wrong_status("snapshot", "clone", SNAPSHOT_ACTIONS["clone"], snapshot.status)
        parent = volumes.get_even_deleted(tx, snapshot.volume_id)
        return _from_volume(parent, snapshot.size, snapshot_id=snapshot.id)
    source = volumes.hold(tx, wanted.source_id, caller.scope)
    if source.status not in VOLUME_ACTIONS["clone"]:
        raise wrong_status("volume", "clone", VOLUME_ACTIONS["clone"], source.status)
    return _from_volume(source, source.size, source_volid=source.id)


def least_size(image: Row[Any]) -> int:
    """GiB that a volume made from an image must have."""
    least: int = max(image.min_disk, gib_to_hold(image.virtual_size or image.size or 0), 1)
    return least


def _from_volume(parent: Row[Any], size: int, **values: Any) -> _Origin:
    values |= {"bootable": parent.bootable, "image_metadata": parent.image_metadata, "image_id": parent.image_id}
    return _Origin(size, parent.volume_type_id, parent.pool, values=values)


def _size(settings: Settings, wanted: Wanted, origin: _Origin) -> int:
    size = origin.least if wanted.size is None and wanted.source != "blank" else wanted.size
    if size is None:
        raise Invalid("size-missing", "A volume that is not made from something needs a size.", field="size")
    if size < 1:
        raise Invalid("size-least", f"Invalid input for field 'size': {size} is less than 1 GiB.", field="size")
    if size < origin.least:
        raise Invalid(
            "size-source",
            f"Invalid input: size {size} GiB is smaller than the {wanted.source}'s, which needs {origin.least} GiB.",
            field="size",
        )
    check_size(settings, size)
    return size


def check_size(settings: Settings, size: int) -> None:
    """`size` is GiB; refused over what this cloud allows one volume, whatever the quota."""
    if size > settings.limits.volume_gib:
        raise Invalid("size-most", f"A volume has at most {settings.limits.volume_gib} GiB.", field="size")


def _type(tx: Tx, caller: Caller, wanted: Wanted, origin: _Origin) -> Row[Any]:
    if wanted.type is not None:
        return volume_types.find(tx, wanted.type, caller.scope)
    if origin.volume_type_id is not None:
        return volume_types.get(tx, origin.volume_type_id, None)
    return volume_types.default(tx, caller.project_id)


def checked_zone(settings: Settings, type_row: Row[Any], asked: str | None) -> str:
    """The availability zone of a new volume."""
    zone = asked or settings.api.availability_zone
    if zone != settings.api.availability_zone:
        raise Invalid("availability-zone", f"Availability zone '{zone}' is invalid.", field="availability_zone")
    capabilities.check_zone(type_row.extra_specs, zone)
    return zone


def check_metadata(settings: Settings, metadata: dict[str, str]) -> None:
    if len(metadata) > settings.limits.metadata_items:
        raise Invalid(
            "metadata-items", f"At most {settings.limits.metadata_items} metadata items are kept.", field="metadata"
        )


async def make_disk(world: World, plan: Plan, progress: Progress = no_progress) -> None:
    """Make the disk of a planned volume. Repeatable."""
    if plan.unmet is not None:
        raise Failed(plan.unmet)
    if capabilities.template_of(plan.pool) is not None:
        # Ganeti makes it when its server gets it, and fills a root from the image's file.
        if plan.source == "image" and capabilities.filled_by_image(plan.pool):
            assert plan.source_id is not None
            await image_in_pool.file_of(world, plan.source_id)
        return
    pool, disk, size = world.pools[plan.pool], volume_disk(plan.volume_id), plan.size * GIB
    if plan.source == "blank":
        await pool.create(disk, size)
    elif plan.source == "image":
        assert plan.source_id is not None
        await image_in_pool.ensure_in_pool(world, plan.pool, plan.source_id, progress)
        await pool.clone(disk, image_disk(plan.source_id), size)
    elif plan.source == "snapshot":
        assert plan.source_id is not None
        await pool.clone(disk, snapshot_disk(plan.source_id), size)
    else:
        assert plan.source_id is not None
        assert plan.copy_id is not None
        if await pool.find(disk) is None:
            live = find_live(world, plan.source_id)
            await pool.snapshot(volume_disk(plan.source_id), snapshot_disk(plan.copy_id), live)
            await pool.clone(disk, snapshot_disk(plan.copy_id), size)
        await _forget_copy(world, plan)


async def unmake_disk(world: World, plan: Plan) -> None:
    """Leave nothing of a planned volume's disk, however far it came. Repeatable."""
    await world.pools[plan.pool].delete(volume_disk(plan.volume_id))
    await _forget_copy(world, plan)


async def _forget_copy(world: World, plan: Plan) -> None:
    if plan.copy_id is not None and plan.source_id is not None:
        live = find_live(world, plan.source_id)
        await world.pools[plan.pool].delete(snapshot_disk(plan.copy_id), live)
