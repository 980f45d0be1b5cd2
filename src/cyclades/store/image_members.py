"""Members of images as rows: projects that a `shared` image was offered to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import NotFound
from cyclades.store.database import Tx
from cyclades.store.schema import image_member, now


def add(tx: Tx, image_id: str, project_id: str) -> None:
    """Whoever calls this holds the image, and has looked whether it is a member already."""
    moment = now()
    row = {"image_id": image_id, "project_id": project_id, "status": "pending"}
    tx.execute(image_member.insert(), {**row, "created_at": moment, "updated_at": moment})


def get(tx: Tx, image_id: str, project_id: str) -> Row[Any]:
    row = tx.execute(sa.select(image_member).where(*_is(image_id, project_id))).one_or_none()
    if row is None:
        raise NotFound("image-member", project_id)
    return row


def of_image(tx: Tx, image_id: str) -> list[Row[Any]]:
    """The oldest first."""
    found = sa.select(image_member).where(image_member.c.image_id == image_id)
    return list(tx.execute(found.order_by(image_member.c.created_at, image_member.c.project_id)).all())


def change(tx: Tx, image_id: str, project_id: str, *, status: str) -> None:
    changed = image_member.update().where(*_is(image_id, project_id))
    tx.execute(changed.values(status=status, updated_at=now()))


def remove(tx: Tx, image_id: str, project_id: str) -> None:
    get(tx, image_id, project_id)
    tx.execute(image_member.delete().where(*_is(image_id, project_id)))


def remove_all(tx: Tx, image_id: str) -> None:
    tx.execute(image_member.delete().where(image_member.c.image_id == image_id))


def _is(image_id: str, project_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return image_member.c.image_id == image_id, image_member.c.project_id == project_id
