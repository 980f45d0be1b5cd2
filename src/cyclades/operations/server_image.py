"""Make an image of a server.

Booted by an image: of its root's content, which stays where it lies in the pool. Booted from a volume: a snapshot of
each of its volumes, and an image without bytes that says of which snapshots a server is made (`image_mapping`). Of a
running server it is what a crash at that moment would leave.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import TooLarge
from cyclades.model.names import image_disk, snapshot_disk, volume_disk
from cyclades.model.units import GIB
from cyclades.operations import image_create, image_mapping, snapshot_create, snapshot_delete
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.live import find_live, require_freezable
from cyclades.store import attachments, images, quotas, servers, snapshots, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Copy(msgspec.Struct):
    """A volume whose content is kept: as a snapshot, or (None) as the image's own bytes."""

    volume_id: str
    pool: str
    snapshot_id: str | None = None


class Args(msgspec.Struct):
    server_id: str
    image_id: str
    copies: list[Copy]


def start(tx: Tx, caller: Caller, settings: Settings, server_id: str, *, name: str, properties: dict[str, str]) -> str:
    """Accept it; returns the image's id. `properties` are the image's, beside those that tell where it is from."""
    server = servers.hold(tx, server_id, caller.scope)
    op_id = new_id()
    servers.begin(tx, server, caller, "create_image", op_id=op_id, task_state="image_snapshot")
    plugged = attachments.of_server(tx, server.id)
    by_image = server.image_id is not None
    root = volumes.get(tx, plugged[0].volume_id, None)
    capabilities.require_pool(root.pool, "images of servers")
    require_freezable(tx, settings, root)
    copies, frozen = [], []
    for row in plugged[:1] if by_image else plugged:
        volume = volumes.hold(tx, row.volume_id, None)
        volumes.begin(tx, volume, "snapshot", status=volume.status, op_id=op_id)
        snapshot_id = None
        if not by_image:
            snapshot_id = snapshot_create.add_row(
                tx, caller, settings, volume, op_id, name=f"snapshot for {name}", description=volume.description
            )
            frozen.append((row, snapshot_id, volume.size))
        copies.append(Copy(volume.id, volume.pool, snapshot_id))
    about = {**_from(server, root, caller), **properties}
    if not by_image:
        about |= image_mapping.properties(frozen)
    image_id = _add_image(tx, caller, settings, server, root, name, about, op_id)
    args = Args(server.id, image_id, copies)
    submit(tx, caller, OPERATION, args, resource_kind="server", resource_id=server.id, op_id=op_id)
    return image_id


def _from(server: Row[Any], root: Row[Any], caller: Caller) -> dict[str, str]:
    """Nova's words for where an image is from, and what its server's own image said."""
    kept = images.properties_of_volume(root)
    about = {key: value for key, value in kept.items() if key not in image_mapping.OWN_PROPERTIES}
    about |= {"image_type": "snapshot", "instance_uuid": server.id, "user_id": caller.user_id}
    return about | ({"base_image_ref": root.image_id} if root.image_id else {})


def _add_image(
    tx: Tx,
    caller: Caller,
    settings: Settings,
    server: Row[Any],
    root: Row[Any],
    name: str,
    properties: dict[str, str],
    op_id: str,
) -> str:
    """An image in status `saving`. The file of one with bytes is written when somebody asks for it (`image_write`)."""
    kept: dict[str, str] = root.image_metadata or {}
    wanted = image_create.Wanted(
        name=name,
        visibility="private",
        project_id=server.project_id,
        disk_format="raw",
        container_format="bare",
        min_disk=root.size,
        min_ram=int(kept.get("min_ram", 0)),
        properties=properties,
    )
    image_id = image_create.start(tx, caller, settings, wanted)
    values: dict[str, Any] = {"size": 0}
    if server.image_id is not None:
        size = root.size * GIB
        if size > settings.limits.image_bytes:
            raise TooLarge("image-size", f"An image has at most {settings.limits.image_bytes} bytes.")
        quotas.take(tx, settings.quotas, server.project_id, quota.of_image(size))
        file = f"{image_id}.{secrets.token_hex(4)}"
        values = {"size": size, "virtual_size": size, "pool": root.pool, "volume_id": root.id, "file": file}
    images.change(tx, image_id, status="saving", operation_id=op_id, **values)
    return image_id


def _disk(args: Args, copy: Copy) -> str:
    return image_disk(args.image_id) if copy.snapshot_id is None else snapshot_disk(copy.snapshot_id)


async def freeze(work: Work[Args]) -> None:
    for copy in work.args.copies:
        live = find_live(work.world, copy.volume_id)
        await work.world.pools[copy.pool].snapshot(volume_disk(copy.volume_id), _disk(work.args, copy), live)


async def unfreeze(work: Work[Args]) -> None:
    unmade = []
    for copy in work.args.copies:
        live = find_live(work.world, copy.volume_id)
        await work.world.pools[copy.pool].delete(_disk(work.args, copy), live)
        unmade.append(copy.volume_id)
    work.data["unmade"] = unmade


def done(tx: Tx, work: Work[Args]) -> None:
    """An image that was deleted meanwhile belongs to its deletion; snapshots that it named stay, as after any other."""
    _let_go(tx, work)
    for copy in work.args.copies:
        if copy.snapshot_id is not None:
            snapshots.finish(tx, copy.snapshot_id, work.id, status="available")
    row = images.hold_even_deleted(tx, work.args.image_id)
    if row.operation_id == work.id:
        images.change(tx, row.id, status="active", operation_id=None)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """There is no image and no snapshot; a message says why. What could not be taken away again can be deleted."""
    _let_go(tx, work)
    unmade = work.data.get("unmade", ())
    is_there = False
    for copy in work.args.copies:
        if copy.snapshot_id is None:
            is_there = copy.volume_id not in unmade
        elif copy.volume_id in unmade:
            snapshot_delete.forget(tx, copy.snapshot_id, work.id)
        else:
            snapshots.finish(tx, copy.snapshot_id, work.id, status="error", reason=reason)
    row = images.hold_even_deleted(tx, work.args.image_id)
    if row.operation_id == work.id and is_there:
        images.change(tx, row.id, status="pending_delete", operation_id=None)
    elif row.operation_id == work.id:
        images.change(tx, row.id, status="deleted", deleted_at=now(), operation_id=None)
        quotas.give_back(tx, row.project_id, {quota.IMAGES: 1, **quota.of_image(row.size)})


def _let_go(tx: Tx, work: Work[Args]) -> None:
    """The server and its volumes are as they were."""
    server = servers.get(tx, work.args.server_id, None)
    servers.finish(tx, server.id, work.id, reason=server.reason)
    for copy in work.args.copies:
        volume = volumes.get(tx, copy.volume_id, None)
        volumes.finish(tx, volume.id, work.id, reason=volume.reason)


OPERATION = Operation(
    kind="server_image",
    args=Args,
    steps=(Step("freeze", freeze, undo=unfreeze),),
    done=done,
    failed=failed,
)
