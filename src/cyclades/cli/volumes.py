"""Volumes as commands show them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cyclades.store import volume_types
from cyclades.store.database import Tx
from cyclades.store.schema import project, volume


def fields(tx: Tx, volume_ids: list[str]) -> list[dict[str, Any]]:
    """Of each of these volumes, deleted ones too, in this order. `size` is GiB."""
    query = sa.select(volume, project.c.name.label("project_name")).outerjoin(
        project, project.c.id == volume.c.project_id
    )
    rows = {row.id: row for row in tx.execute(query.where(volume.c.id.in_(volume_ids)))}
    types = volume_types.names(tx)
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "project": row.project_name,
            "size": row.size,
            "type": types[row.volume_type_id],
            "status": row.status,
            "reason": row.reason,
        }
        for row in map(rows.__getitem__, volume_ids)
    ]
