"""A server's rows as what a backend needs to run it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from cyclades.backends.base import ImageFill, Nic, Plug, ServerSpec
from cyclades.model import capabilities, config_drive
from cyclades.model.names import image_disk, volume_disk
from cyclades.model.units import GIB
from cyclades.operations.base import World
from cyclades.operations.image_in_pool import file_of
from cyclades.security import grants
from cyclades.security.keys import Keys
from cyclades.store import attachments, servers


def owner(backend: str, server_id: str) -> str:
    """How a pool knows who may open a disk."""
    return f"{backend}/{server_id}"


async def spec_of(world: World, server_id: str) -> ServerSpec:
    """With every volume that is attached, those being attached or detached included: whoever asks has its turn."""
    server, plugged = await world.db.read(
        lambda tx: (servers.get(tx, server_id, None), attachments.with_volumes(tx, server_id))
    )
    guest = config_drive.Guest(
        server_id=server.id,
        project_id=server.project_id,
        name=server.name,
        hostname=server.hostname,
        availability_zone=world.settings.api.availability_zone,
        key_name=server.key_name,
        public_key=server.public_key,
        user_data=server.user_data,
        metadata=server.metadata,
        devices=_tagged(server, plugged),
    )
    return ServerSpec(
        server_id=server.id,
        project_id=server.project_id,
        hostname=server.hostname,
        vcpus=server.flavor["vcpus"],
        memory=server.flavor["ram"],
        plugs=tuple(plug_of(world, row) for row in plugged),
        nics=tuple(Nic(**nic) for nic in server.nics),
        config=config_drive.files(guest),
    )


async def image_fill(world: World, image_id: str, server_id: str) -> ImageFill:
    """For a backend that writes the image to the root disk of this new server by itself."""
    row, settings = await file_of(world, image_id), world.settings
    token = grants.issue(Keys(settings.key_dir), image_id, server_id)
    ca = await asyncio.to_thread(settings.api.tls_ca.read_text) if settings.api.tls_ca else ""
    url = f"{settings.public_url}/image/v2/fills/{image_id}/file"
    return ImageFill(url, token, row.os_hash_value, row.disk_format, ca)


def _tagged(server: Row[Any], plugged: Sequence[Row[Any]]) -> list[config_drive.Device]:
    """The devices that their user gave a tag."""
    disks = [config_drive.disk(row.volume_id, row.disk_index, row.tag) for row in plugged if row.tag is not None]
    tag = server.extra.get("network_tag")
    return disks + [config_drive.nic(nic["mac"], tag) for nic in server.nics if tag is not None]


def plug_of(world: World, row: Row[Any]) -> Plug:
    """`row` is of `attachments.with_volumes`."""
    return Plug(
        volume_id=row.volume_id,
        disk=volume_disk(row.volume_id),
        pool=world.pools[row.pool],
        index=row.disk_index,
        generation=row.generation,
        size=row.size * GIB,
        read_only=bool(row.readonly) or row.mode == "ro",
        parameters=_parameters(row),
    )


def _parameters(row: Row[Any]) -> dict[str, str]:
    """Of a disk that another provider than ours makes: a root is made from its image."""
    if capabilities.template_of(row.pool) is None:
        return {}
    origin = image_disk(row.image_id) if row.is_root and row.image_id else None
    return capabilities.parameters(row.extra_specs, origin=origin, origin_size=row.image_size or 0)
