"""Create a server with all its volumes: all come up, or all that was made for it goes away.

Volumes that existed before are only plugged, and are as they were if it fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import capabilities, config_drive, nics, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, Fault, Forbidden, Invalid, NotFound
from cyclades.model.names import volume_disk
from cyclades.model.servers import device_of, hostname_of
from cyclades.operations import block_device, placement, server_disks
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.block_device import IMAGE_ROOT, Disk
from cyclades.operations.new_volume import Plan, make_disk, plan, unmake_disk
from cyclades.operations.placement import Host
from cyclades.operations.server_spec import image_fill, owner, spec_of
from cyclades.operations.volume_attach import claim_disk, claim_row, require_one_template
from cyclades.operations.volume_gone import forget
from cyclades.store import attachments, flavors, keypairs, quotas, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


@dataclass(frozen=True)
class Asked:
    """A server as somebody asks for it: `disks` has one root, which is `IMAGE_ROOT` if the image `image_id` is put on
    it, as large as the flavor says. `user_data` is base64. `host` is the backend that an admin wants for it."""

    name: str
    flavor_id: str
    image_id: str | None = None
    disks: Sequence[Disk] = (IMAGE_ROOT,)
    description: str | None = None
    hostname: str | None = None
    key_name: str | None = None
    user_data: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    config_drive: bool = False
    network: bool = True
    availability_zone: str | None = None
    host: str | None = None


class Part(msgspec.Struct):
    """One disk of the new server. `plan` is how a new volume's disk is made."""

    attachment_id: str
    volume_id: str
    pool: str
    generation: int
    plan: Plan | None = None


class Args(msgspec.Struct):
    server_id: str
    backend: str
    parts: list[Part]


def start(tx: Tx, caller: Caller, settings: Settings, asked: Asked) -> str:
    """Accept the server; returns its id. Its status is BUILD, then ACTIVE, or ERROR with a reason."""
    with _named_in_the_body():
        flavor = flavors.get(tx, asked.flavor_id, caller.scope)
        public_key = keypairs.get(tx, caller.user_id, asked.key_name).public_key if asked.key_name else None
        image_id, disks = server_disks.choose(tx, caller, asked.image_id, asked.disks, flavor)
    zone = asked.availability_zone or settings.api.availability_zone
    if zone != settings.api.availability_zone:
        raise Invalid(
            "availability-zone", "The requested availability zone is not available.", field="availability_zone"
        )
    if len(asked.metadata) > settings.limits.metadata_items:
        raise Forbidden("metadata-items", f"At most {settings.limits.metadata_items} metadata items are kept.")
    config_drive.check_user_data(asked.user_data)
    server_id, op_id = new_id(), new_id()
    quotas.take(tx, settings.quotas, caller.project_id, quota.of_server(flavor.vcpus, flavor.ram))
    with _named_in_the_body():
        chosen = [_volume(tx, caller, settings, op_id, index, disk) for index, disk in enumerate(disks)]
        rows = [volumes.get(tx, one.volume_id, None) for one in chosen]
        learns = bool(asked.key_name or asked.user_data or asked.config_drive)
        host = placement.choose(tx, settings, rows, memory=flavor.ram, learns=learns, asked=asked.host)
    number = servers.free_nic_number(tx, host.name) if asked.network and not host.is_cluster else None
    servers.add(
        tx,
        server_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        name=asked.name,
        description=asked.description,
        hostname=asked.hostname or hostname_of(asked.name, server_id),
        status="BUILD",
        task_state="spawning",
        power="missing",
        backend=host.name,
        flavor_id=flavor.id,
        flavor={name: getattr(flavor, name) for name in ("id", "name", "vcpus", "ram", "disk", "extra_specs")},
        image_id=image_id,
        key_name=asked.key_name,
        public_key=public_key,
        user_data=asked.user_data,
        config_drive=asked.config_drive,
        metadata=asked.metadata,
        tags=list(asked.tags),
        extra=asked.extra,
        nics=_nics(settings, host, server_id, number) if asked.network else [],
        nic_number=number,
        operation_id=op_id,
    )
    with _named_in_the_body():
        parts = [
            _part(tx, caller, host, server_id, op_id, index, disk, one, row)
            for index, (disk, one, row) in enumerate(zip(disks, chosen, rows, strict=True))
        ]
    require_one_template(tx, server_id)
    args = Args(server_id, host.name, parts)
    submit(tx, caller, OPERATION, args, resource_kind="server", resource_id=server_id, op_id=op_id)
    return server_id


def _nics(settings: Settings, host: Host, server_id: str, number: int | None) -> list[dict[str, Any]]:
    """What is known of its interface now: in a cluster its address is the network's to give."""
    if number is not None:
        return [nics.addresses(number, _cloud(settings))._asdict()]
    return [{"mac": nics.mac_of(server_id), "address": None, "forward": None}] if host.has_network else []


def _cloud(settings: Settings) -> str:
    """The same in all of a cloud's processes: where its database is."""
    url = sa.make_url(settings.database_url)
    # PostgreSQL's unix socket is in the query.
    return f"{url.host or url.query.get('host')}:{url.port}/{url.database}"


@contextmanager
def _named_in_the_body() -> Iterator[None]:
    """What a request names beside its own path and does not exist is its input's fault."""
    try:
        yield
    except NotFound as missing:
        if missing.kind in ("volume", "snapshot", "image"):
            raise block_device.invalid(f"failed to get {missing.kind} {missing.ident}.") from missing
        raise Invalid(missing.rule, missing.message) from missing


class _Chosen(NamedTuple):
    """A volume of the new server. `plan` is how a new one's disk is made."""

    volume_id: str
    generation: int
    plan: Plan | None


def _volume(tx: Tx, caller: Caller, settings: Settings, op_id: str, index: int, disk: Disk) -> _Chosen:
    """The volume of one disk, made or given to the operation."""
    if disk.new is not None:
        planned = plan(tx, caller, settings, disk.new, op_id=op_id, on_server="root" if index == 0 else "data")
        volumes.change(tx, planned.volume_id, generation=1)
        chosen = _Chosen(planned.volume_id, 1, planned)
    else:
        assert disk.volume_id is not None
        row = volumes.get(tx, disk.volume_id, caller.project_id)
        chosen = _Chosen(row.id, claim_row(tx, row, op_id), None)
    if index == 0:
        _require_bootable(volumes.get(tx, chosen.volume_id, None))
    return chosen


def _require_bootable(row: Row[Any]) -> None:
    if not row.bootable:
        raise Invalid("not-bootable", f"Block Device {row.id} is not bootable.", field=block_device.FIELD)


def _part(
    tx: Tx,
    caller: Caller,
    host: Host,
    server_id: str,
    op_id: str,
    index: int,
    disk: Disk,
    chosen: _Chosen,
    volume: Row[Any],
) -> Part:
    """The attachment of one disk."""
    if volume.readonly and host.is_cluster:
        raise placement.read_only_on_ganeti(volume.id)
    capabilities.require_end_with_server(volume.pool, ends=disk.delete_on_termination)
    attachment_id = new_id()
    attachments.add(
        tx,
        attachment_id,
        project_id=caller.project_id,
        volume_id=volume.id,
        server_id=server_id,
        disk_index=index,
        host_name=host.name,
        status="attaching",
        device=device_of(index),
        tag=disk.tag,
        delete_on_termination=disk.delete_on_termination,
        is_root=index == 0,
        generation=chosen.generation,
        operation_id=op_id,
    )
    return Part(attachment_id, volume.id, volume.pool, chosen.generation, chosen.plan)


async def make_disks(work: Work[Args]) -> None:
    plans = [part.plan for part in work.args.parts if part.plan is not None]
    for i, planned in enumerate(plans):

        async def progress(fraction: float, i: int = i) -> None:
            await work.progress((i + fraction) / len(plans))

        await make_disk(work.world, planned, progress)


async def unmake_disks(work: Work[Args]) -> None:
    if work.data.get("still_there"):
        return
    unmade = []
    for part in work.args.parts:
        if part.plan is not None:
            await unmake_disk(work.world, part.plan)
            unmade.append(part.volume_id)
    work.data["unmade"] = unmade


async def claim(work: Work[Args]) -> None:
    args = work.args
    for part in args.parts:
        await claim_disk(work.world, args.backend, args.server_id, part.volume_id, part.pool, part.generation)


async def release(work: Work[Args]) -> None:
    if work.data.get("still_there"):
        return
    for part in work.args.parts:
        pool = work.world.pools[part.pool]
        await pool.release(volume_disk(part.volume_id), _owner(work.args), part.generation)


async def power_on(work: Work[Args]) -> None:
    try:
        spec = await spec_of(work.world, work.args.server_id)
    except NotFound as gone:
        raise Failed(str(gone)) from gone
    root = work.args.parts[0]
    if root.plan is not None and root.plan.source == "image" and capabilities.filled_by_image(root.pool):
        assert root.plan.source_id is not None
        spec = replace(spec, fill=await image_fill(work.world, root.plan.source_id, work.args.server_id))
    await work.world.backends[work.args.backend].start(spec, trail=work)


async def take_away(work: Work[Args]) -> None:
    """A server that the backend does not let go of keeps its disks: deleting it will be tried again by its user."""
    try:
        await work.world.backends[work.args.backend].delete(work.args.server_id, trail=work)
    except Fault:
        work.data["still_there"] = True
        raise
    work.data["still_there"] = False


def _owner(args: Args) -> str:
    return owner(args.backend, args.server_id)


def done(tx: Tx, work: Work[Args]) -> None:
    servers.finish(tx, work.args.server_id, work.id, status="ACTIVE", power="running", launched_at=now())
    _attached(tx, work)


def _attached(tx: Tx, work: Work[Args]) -> None:
    for part in work.args.parts:
        volumes.finish(tx, part.volume_id, work.id, status="in-use")
        attachments.finish(tx, part.attachment_id, work.id, status="attached", attached_at=now())


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    servers.finish(tx, work.args.server_id, work.id, status="ERROR", reason=reason)
    if work.data.get("still_there"):
        _attached(tx, work)
        return
    unmade = work.data.get("unmade", ())
    for part in work.args.parts:
        attachments.finish(tx, part.attachment_id, work.id, deleted_at=now())
        if part.plan is None:
            status = attachments.volume_status(tx, volumes.get_even_deleted(tx, part.volume_id))
            volumes.finish(tx, part.volume_id, work.id, status=status)
        elif part.volume_id in unmade:
            forget(tx, part.volume_id, work.id)
        else:
            # Its disk may be there still: deleting the volume tries again.
            volumes.finish(tx, part.volume_id, work.id, status="error", reason=reason)


OPERATION = Operation(
    kind="server_create",
    args=Args,
    steps=(
        Step("make_disks", make_disks, undo=unmake_disks),
        Step("claim", claim, undo=release),
        Step("power_on", power_on, undo=take_away),
    ),
    done=done,
    failed=failed,
)
