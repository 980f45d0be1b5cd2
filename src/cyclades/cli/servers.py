"""Servers as commands show them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.cli.output import Fields, moment
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.store.database import Tx
from cyclades.store.schema import attachment, project, server, volume


def _read(tx: Tx, _: Settings, where: Where) -> list[Fields]:
    query = sa.select(server, project.c.name.label("project")).outerjoin(project, project.c.id == server.c.project_id)
    rows = tx.execute(query.where(*where).order_by(server.c.created_at, server.c.id)).all()
    held = (
        sa.select(attachment, volume.c.size, volume.c.status.label("volume_status"))
        .join(volume, volume.c.id == attachment.c.volume_id)
        .where(attachment.c.deleted_at.is_(None), attachment.c.server_id.in_(sa.select(server.c.id).where(*where)))
    )
    volumes: dict[str, list[Fields]] = {}
    for row in tx.execute(held.order_by(attachment.c.disk_index)):
        volumes.setdefault(row.server_id, []).append(_volume(row))
    return [_fields(row, volumes.get(row.id, [])) for row in rows]


def _volume(row: Row[Any]) -> Fields:
    return {
        "index": row.disk_index,
        "id": row.volume_id,
        "size": row.size,
        "status": row.volume_status,
        "attachment": row.status,
        "delete_on_termination": row.delete_on_termination,
    }


def _fields(row: Row[Any], volumes: list[Fields]) -> Fields:
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "power": row.power,
        "backend": row.backend,
        "flavor": row.flavor["name"],
        "project": row.project,
        "project_id": row.project_id,
        "user_id": row.user_id,
        "description": row.description,
        "reason": row.reason,
        "task": row.task_state,
        "suspended": row.locked,
        "vcpus": row.flavor["vcpus"],
        "ram": row.flavor["ram"],
        "image": row.image_id,
        "addresses": [nic["address"] for nic in row.nics if nic["address"]],
        "volumes": volumes,
        "metadata": row.metadata,
        "operation": row.operation_id,
        "created_at": moment(row.created_at),
        "launched_at": moment(row.launched_at),
        "updated_at": moment(row.updated_at),
        "deleted_at": moment(row.deleted_at),
    }


SERVER = Resource(
    columns=("id", "name", "status", "power", "backend", "flavor", "project"),
    more=(
        "project_id",
        "user_id",
        "description",
        "reason",
        "task",
        "suspended",
        "vcpus",
        "ram",
        "image",
        "addresses",
        "volumes",
        "metadata",
        "operation",
        "created_at",
        "launched_at",
        "updated_at",
        "deleted_at",
    ),
    key=server.c.id,
    read=_read,
)
