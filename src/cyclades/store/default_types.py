"""The volume type that a project's volumes get which name none, where it is not the cloud's default."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.model.errors import NotFound
from cyclades.store.database import Tx
from cyclades.store.schema import now, project_default_type


def put(tx: Tx, project_id: str, type_id: str) -> None:
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(project_default_type)
    values = {"project_id": project_id, "volume_type_id": type_id, "created_at": now()}
    changed = {"volume_type_id": type_id, "updated_at": now()}
    tx.execute(insert.values(values).on_conflict_do_update(index_elements=["project_id"], set_=changed))


def get(tx: Tx, project_id: str) -> Row[Any]:
    wanted = sa.select(project_default_type).where(project_default_type.c.project_id == project_id)
    row = tx.execute(wanted).one_or_none()
    if row is None:
        raise NotFound("default-type-of-project", project_id)
    return row


def every(tx: Tx) -> list[Row[Any]]:
    """By project."""
    return list(tx.execute(sa.select(project_default_type).order_by(project_default_type.c.project_id)).all())


def forget(tx: Tx, project_id: str) -> None:
    """The cloud's default holds again."""
    tx.execute(project_default_type.delete().where(project_default_type.c.project_id == project_id))
