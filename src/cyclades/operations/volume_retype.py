"""Give a volume another type. In the same pool that is a matter of rows; to a type that keeps its disks in another pool
the data is copied, also while a server of this machine has the volume and writes to it.

The disk in the new pool has the volume's own name. Until `switch` the volume lies in the old pool: whatever goes wrong,
what was copied is thrown away. `switch` is one transaction, and the point of no return: from then on it lies in the new
pool, and whatever goes wrong, the old disk is thrown away. Both disks hold the same at that moment: at rest nobody can
open either, and what a running machine wants to read or write waits (`backends.base.Mirror`).

A server that is off cannot be started meanwhile, nor is one that runs stopped: such operations wait for their turn. One
that is deleted asks this one to turn back. If the machine dies while it copies, the copy begins anew, at rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.backends.base import Backend, Mirror
from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, Invalid, Passing, WrongState
from cyclades.model.names import volume_disk
from cyclades.model.status import VOLUME_ACTIONS, wrong_status
from cyclades.model.units import GIB
from cyclades.operations import placement
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.server_spec import owner
from cyclades.operations.turn import wait_for_users
from cyclades.operations.volume_attach import claim_disk
from cyclades.store import attachments, clusters, operations, quotas, servers, snapshots, volume_types, volumes
from cyclades.store.database import Tx
from cyclades.store.pools import require_open


class Place(msgspec.Struct):
    """The attachment of a volume in use, which the operation owns as well."""

    attachment_id: str
    server_id: str
    backend: str
    generation: int


class Args(msgspec.Struct):
    """`size` is GiB."""

    volume_id: str
    size: int
    old_type_id: str
    old_pool: str
    new_type_id: str
    new_pool: str
    place: Place | None = None


def start(tx: Tx, caller: Caller, settings: Settings, volume_id: str, new_type: str, *, may_move: bool) -> None:
    """Change the type, or accept that. `new_type` is a name or an id; `may_move` allows to copy the data."""
    row = _hold(tx, caller, volume_id)
    new = volume_types.find(tx, new_type, caller.scope)
    _require_status(row)
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
    if not may_move:
        raise Invalid(
            "retype-never",
            f"Retype requires migration but is not allowed: type {new.name} keeps its disks in pool {kind.pool}, "
            f"volume {row.id} lies in pool {row.pool}. Ask with migration_policy 'on-demand'.",
            field="migration_policy",
        )
    _begin_move(tx, caller, row, new.id, kind.pool)


def to_pool(tx: Tx, caller: Caller, settings: Settings, volume_id: str, pool: str) -> None:
    """Accept that a volume goes to the pool that its type names, where it lies elsewhere: types are given pools by the
    settings, which change."""
    row = _hold(tx, caller, volume_id)
    _require_status(row)
    if pool == row.pool:
        raise Invalid("migrate-same", "Destination host must be different than the current host.", field="host")
    type_row = volume_types.get(tx, row.volume_type_id, None)
    kept = capabilities.kind_of(type_row.extra_specs, settings.storage).pool
    if pool != kept:
        raise Invalid(
            "migrate-type",
            f"Volume type {type_row.name} keeps its disks in pool {kept}: retype the volume to a type of pool {pool}.",
            field="host",
        )
    _begin_move(tx, caller, row, type_row.id, pool)


def _require_status(row: Row[Any]) -> None:
    if row.status not in VOLUME_ACTIONS["retype"]:
        raise wrong_status("volume", "retype", VOLUME_ACTIONS["retype"], row.status)


def _hold(tx: Tx, caller: Caller, volume_id: str) -> Row[Any]:
    """The volume's row. Servers come before volumes, in every transaction."""
    volumes.get(tx, volume_id, caller.scope)
    for one in attachments.of_volume(tx, volume_id):
        if one.server_id is not None:
            servers.hold(tx, one.server_id, None)
    return volumes.hold(tx, volume_id, caller.scope)


def _begin_move(tx: Tx, caller: Caller, row: Row[Any], type_id: str, pool: str) -> None:
    for end in (row.pool, pool):
        capabilities.require_pool(end, "moves to another pool")
    require_open(tx, pool)
    if snapshots.of_volume(tx, row.id, None):  # also those that stayed with a former project: they lie where it lies
        raise WrongState(
            "retype-snapshots-other-pool",
            f"Invalid volume: Volume must not have snapshots to go to another pool; delete those of {row.id} first.",
            resource="volume",
        )
    plug = _plugged(tx, caller, row, pool) if row.status == "in-use" else None
    op_id = new_id()
    volumes.begin(tx, row, "retype", status="retyping", op_id=op_id, migration_status="migrating")
    place = None
    if plug is not None:
        attachments.begin(tx, plug, status="attached", op_id=op_id)
        place = Place(plug.id, plug.server_id, servers.get(tx, plug.server_id, None).backend, plug.generation)
    args = Args(row.id, row.size, row.volume_type_id, row.pool, type_id, pool, place)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)


def _plugged(tx: Tx, caller: Caller, row: Row[Any], pool: str) -> Row[Any]:
    """The one attachment of a volume in use; `WrongState` if it cannot go to the pool with that."""
    attached = attachments.of_volume(tx, row.id)
    if len(attached) != 1 or attached[0].server_id is None:
        raise WrongState(
            "retype-in-use-elsewhere",
            f"Invalid volume: volume {row.id} is in use, and not by one server of this cloud alone: so it goes to "
            "another pool only when it is detached.",
            resource="volume",
        )
    (plug,) = attached
    server = servers.get(tx, plug.server_id, None)
    servers.require(server, caller, "move_volume")
    placement.require_reach(tx, server.backend, row, read_only=False, pool=pool)
    if server.status == "SHUTOFF":
        return plug
    if clusters.find(tx, server.backend) is not None:
        raise WrongState(
            "retype-in-use-on-ganeti",
            f"Invalid volume: volume {row.id} is in use by server {server.id} on Ganeti, and goes to another pool only "
            "at rest: stop the server, or detach the volume, first.",
            resource="volume",
        )
    if row.readonly or plug.mode == "ro":
        raise WrongState(
            "retype-in-use-read-only",
            f"Invalid volume: server {server.id} has volume {row.id} read-only, and it goes to another pool only at "
            "rest: stop the server, or detach the volume, first.",
            resource="volume",
        )
    return plug


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


async def wait(work: Work[Args]) -> None:
    """For volumes that are being made from the old disk, asked for before this."""
    await wait_for_users(work, work.args.volume_id)


async def check(work: Work[Args]) -> None:
    """What lies in the new pool under the volume's name from now on is what this operation makes."""
    if await work.world.pools[work.args.new_pool].find(volume_disk(work.args.volume_id)) is not None:
        await work.still()
        raise Failed(
            f"Pool {work.args.new_pool} has a disk {volume_disk(work.args.volume_id)} already, which an earlier move "
            "has left there: an operator has to remove it."
        )


async def copy(work: Work[Args]) -> None:
    """Have the same on both disks. That of a running machine stays so by itself."""
    mirror = await _mirror(work)
    if mirror is not None:
        await _copy_in_use(work, mirror)
    else:
        await _copy_at_rest(work)


async def _copy_in_use(work: Work[Args], mirror: Mirror) -> None:
    args, new, disk = work.args, work.world.pools[work.args.new_pool], volume_disk(work.args.volume_id)
    if not work.data.get("mirrored"):
        await work.record(mirrored=True)
    await new.create(disk, args.size * GIB)
    await _claim(work, args.new_pool)
    async with new.opening(disk) as target:
        await work.still()
        await mirror.begin(target)
    await mirror.follow(work.progress_or_end)


async def _copy_at_rest(work: Work[Args]) -> None:
    args, pools, disk = work.args, work.world.pools, volume_disk(work.args.volume_id)
    if work.data.get("mirrored"):
        # By a machine that has died: what it had not written out yet is missing.
        await _remove(work, args.new_pool)
        await work.record(mirrored=False)
    await work.still()
    await _release(work, args.old_pool)  # until the end nobody opens it

    async def write(target: Path, fds: Sequence[int]) -> None:
        await pools[args.old_pool].export(disk, target, "qcow2", work.progress_or_end, fds=fds)

    await pools[args.new_pool].receive(disk, args.size * GIB, write, work.still)
    await _claim(work, args.new_pool)


async def clear(work: Work[Args]) -> None:
    """Of the two disks, the one that is not the volume's goes."""
    args = work.args
    if await _is_switched(work):
        await turn(work)
        await _remove(work, args.old_pool)
        return
    mirror = await _mirror(work)
    if mirror is not None:
        await mirror.part()
    await _remove(work, args.new_pool)
    await _claim(work, args.old_pool)
    await _tell(work, args.old_pool)


async def tell(work: Work[Args]) -> None:
    """A backend with books of its own, whose server is off, learns where it finds the disk. `clear` takes that back."""
    await _tell(work, work.args.new_pool)


async def switch(work: Work[Args]) -> None:
    args = work.args
    if not await _is_switched(work):
        await copy(work)  # anew, if the machine that copied has died since
        mirror = await _mirror(work)
        if mirror is not None:
            await mirror.hold()
        elif work.data.get("mirrored"):
            raise Passing("The server's machine has died in this moment.")
        await work.world.db.write(lambda tx: _put(tx, work, args.new_pool, args.new_type_id))
    await turn(work)


async def turn(work: Work[Args]) -> None:
    """After the switch: a machine that runs goes on with the new disk."""
    args, disk = work.args, volume_disk(work.args.volume_id)
    mirror = await _mirror(work)
    if mirror is None:
        return
    async with work.world.pools[args.new_pool].opening(disk) as target:
        turned = await mirror.turn(target)
    if not turned:
        # What the guest writes goes to the old disk, after all.
        await work.world.db.write(lambda tx: _put(tx, work, args.old_pool, args.old_type_id))
        raise Failed("The server's QEMU did not take the new disk.")


async def remove_old(work: Work[Args]) -> None:
    await _remove(work, work.args.old_pool)


def _put(tx: Tx, work: Work[Args], pool: str, type_id: str) -> None:
    """Say where the volume lies."""
    operations.record(tx, work.id, work.token, progress=1.0)  # nobody else's to say
    multiattach = capabilities.wants_multiattach(volume_types.get(tx, type_id, None).extra_specs)
    volumes.change(tx, work.args.volume_id, pool=pool, volume_type_id=type_id, multiattach=multiattach)


async def _is_switched(work: Work[Args]) -> bool:
    return await work.world.db.read(lambda tx: _lies_in_new(tx, work.args))


def _lies_in_new(tx: Tx, args: Args) -> bool:
    return bool(volumes.get_even_deleted(tx, args.volume_id).pool == args.new_pool)


async def _mirror(work: Work[Args]) -> Mirror | None:
    """Of the machine that has the volume open; None at rest."""
    place = work.args.place
    if place is None:
        return None
    return await _backend(work, place).mirror(place.server_id, work.args.volume_id)


async def _tell(work: Work[Args], pool: str) -> None:
    place = work.args.place
    if place is not None and await _mirror(work) is None:
        to = work.world.pools[pool]
        await _backend(work, place).moved(place.server_id, work.args.volume_id, place.generation, to, trail=work)


async def _claim(work: Work[Args], pool: str) -> None:
    place, volume_id = work.args.place, work.args.volume_id
    if place is not None:
        await work.still()
        await claim_disk(work.world, place.backend, place.server_id, volume_id, pool, place.generation)


async def _release(work: Work[Args], pool: str) -> None:
    place = work.args.place
    if place is not None:
        disk = volume_disk(work.args.volume_id)
        await work.world.pools[pool].release(disk, owner(place.backend, place.server_id), place.generation)


async def _remove(work: Work[Args], pool: str) -> None:
    await _release(work, pool)
    await work.world.pools[pool].delete(volume_disk(work.args.volume_id), still=work.still)


def _backend(work: Work[Args], place: Place) -> Backend:
    return work.world.backends[place.backend]


def done(tx: Tx, work: Work[Args]) -> None:
    _finish(tx, work, work.args.old_type_id, migration_status="success")


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """The volume is whole either way, in the old pool or in the new one; a message says what went wrong."""
    if _lies_in_new(tx, work.args):
        done(tx, work)
    else:
        _finish(tx, work, work.args.new_type_id, migration_status="error")


def _finish(tx: Tx, work: Work[Args], former_type_id: str, *, migration_status: str) -> None:
    """The volume is as it was, and no longer counts for this type."""
    args = work.args
    row = volumes.get(tx, args.volume_id, None)
    status = "available" if args.place is None else "in-use"
    ended = volumes.finish(tx, row.id, work.id, status=status, migration_status=migration_status)
    if ended and args.old_type_id != args.new_type_id:
        _give_back_share(tx, row, former_type_id)
    if args.place is not None:
        attachments.finish(tx, args.place.attachment_id, work.id, status="attached")


OPERATION = Operation(
    kind="volume_retype",
    args=Args,
    steps=(
        Step("wait", wait),
        Step("check", check),
        Step("copy", copy, undo=clear),
        Step("tell", tell),
        Step("switch", switch),
        Step("remove_old", remove_old),
    ),
    done=done,
    failed=failed,
)
