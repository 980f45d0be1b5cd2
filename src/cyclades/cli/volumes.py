"""Volumes as commands show them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.cli.output import Fields, moment
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.model.capabilities import EXT, template_of
from cyclades.store import volume_types
from cyclades.store.database import Tx
from cyclades.store.schema import attachment, project, volume


def _read(tx: Tx, _: Settings, where: Where) -> list[Fields]:
    query = sa.select(volume, project.c.name.label("project")).outerjoin(project, project.c.id == volume.c.project_id)
    rows = tx.execute(query.where(*where).order_by(volume.c.created_at, volume.c.id)).all()
    types = volume_types.names(tx)
    held = sa.select(attachment.c.volume_id, attachment.c.server_id, attachment.c.host_name, attachment.c.instance_id)
    held = held.where(
        attachment.c.deleted_at.is_(None), attachment.c.volume_id.in_(sa.select(volume.c.id).where(*where))
    )
    servers: dict[str, list[str]] = {}
    for row in tx.execute(held.order_by(attachment.c.created_at)):
        servers.setdefault(row.volume_id, []).append(row.server_id or row.instance_id or row.host_name or "reserved")
    return [_fields(row, types[row.volume_type_id], servers.get(row.id, [])) for row in rows]


def _fields(row: Row[Any], volume_type: str, servers: list[str]) -> Fields:
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "size": row.size,
        "type": volume_type,
        "servers": servers,
        "project": row.project,
        "project_id": row.project_id,
        "user_id": row.user_id,
        "description": row.description,
        "reason": row.reason,
        "source": _source(row),
        "pool": row.pool,
        "disk_template": template_of(row.pool) or EXT,
        "bootable": row.bootable,
        "readonly": bool(row.readonly),
        "metadata": row.metadata,
        "generation": row.generation,
        "operation": row.operation_id,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "deleted_at": moment(row.deleted_at),
    }


def _source(row: Row[Any]) -> str:
    """As `volume-create --source` takes it."""
    if row.snapshot_id:
        return f"snapshot:{row.snapshot_id}"
    if row.source_volid:
        return f"volume:{row.source_volid}"
    return f"image:{row.image_id}" if row.image_id else "blank"


VOLUME = Resource(
    columns=("id", "name", "status", "size", "type", "servers", "project"),
    more=(
        "project_id",
        "user_id",
        "description",
        "reason",
        "source",
        "pool",
        "disk_template",
        "bootable",
        "readonly",
        "metadata",
        "generation",
        "operation",
        "created_at",
        "updated_at",
        "deleted_at",
    ),
    key=volume.c.id,
    read=_read,
)
