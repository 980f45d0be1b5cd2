"""Snapshots as commands show them."""

from __future__ import annotations

import sqlalchemy as sa

from cyclades.cli.output import Fields, moment
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.store.database import Tx
from cyclades.store.schema import project, snapshot


def _read(tx: Tx, _: Settings, where: Where) -> list[Fields]:
    query = sa.select(snapshot, project.c.name.label("project")).outerjoin(
        project, project.c.id == snapshot.c.project_id
    )
    return [
        {
            "id": row.id,
            "name": row.name,
            "status": row.status,
            "size": row.size,
            "volume": row.volume_id,
            "project": row.project,
            "project_id": row.project_id,
            "user_id": row.user_id,
            "description": row.description,
            "reason": row.reason,
            "metadata": row.metadata,
            "operation": row.operation_id,
            "created_at": moment(row.created_at),
            "updated_at": moment(row.updated_at),
            "deleted_at": moment(row.deleted_at),
        }
        for row in tx.execute(query.where(*where).order_by(snapshot.c.created_at, snapshot.c.id))
    ]


SNAPSHOT = Resource(
    columns=("id", "name", "status", "size", "volume", "project"),
    more=(
        "project_id",
        "user_id",
        "description",
        "reason",
        "metadata",
        "operation",
        "created_at",
        "updated_at",
        "deleted_at",
    ),
    key=snapshot.c.id,
    read=_read,
)
