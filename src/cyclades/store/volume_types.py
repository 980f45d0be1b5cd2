"""Volume types as rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import Conflict, NotFound, WrongState
from cyclades.store.database import Tx
from cyclades.store.schema import now, volume, volume_type

_ALIVE = volume_type.c.deleted_at.is_(None)
_NAME = sa.select(volume_type.c.name).where(volume_type.c.id == sa.bindparam("id"))


def add(tx: Tx, type_id: str, **values: Any) -> None:
    _unique_name(tx, values["name"])
    tx.execute(volume_type.insert().values(id=type_id, created_at=now(), **values))


def get(tx: Tx, type_id: str, *, all_types: bool) -> Row[Any]:
    """`all_types`: private ones too (for admins, and for volumes that have them)."""
    query = sa.select(volume_type).where(volume_type.c.id == type_id, _ALIVE)
    if not all_types:
        query = query.where(volume_type.c.is_public)
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound("volume-type", type_id)
    return row


def find(tx: Tx, name_or_id: str, *, all_types: bool) -> Row[Any]:
    """By id or by name, as requests name them."""
    wanted = sa.or_(volume_type.c.id == name_or_id, volume_type.c.name == name_or_id)
    query = sa.select(volume_type).where(wanted, _ALIVE)
    if not all_types:
        query = query.where(volume_type.c.is_public)
    row = tx.execute(query).first()
    if row is None:
        raise NotFound("volume-type", name_or_id)
    return row


def default(tx: Tx) -> Row[Any]:
    row = tx.execute(sa.select(volume_type).where(volume_type.c.is_default, _ALIVE)).first()
    if row is None:
        raise NotFound("volume-type", "(default)")
    return row


def every(tx: Tx, *, all_types: bool) -> list[Row[Any]]:
    query = sa.select(volume_type).where(_ALIVE).order_by(volume_type.c.created_at.desc(), volume_type.c.id.desc())
    if not all_types:
        query = query.where(volume_type.c.is_public)
    return list(tx.execute(query).all())


def names(tx: Tx) -> dict[str, str]:
    """Each type's name by its id; deleted ones too, since volumes keep theirs."""
    return {row.id: row.name for row in tx.execute(sa.select(volume_type.c.id, volume_type.c.name))}


def name_of(tx: Tx, type_id: str) -> str:
    return tx.execute(_NAME, {"id": type_id}).scalar_one()  # type: ignore[no-any-return]


def change(tx: Tx, type_id: str, **values: Any) -> None:
    if "name" in values:
        _unique_name(tx, values["name"], besides=type_id)
    tx.execute(volume_type.update().where(volume_type.c.id == type_id).values(updated_at=now(), **values))


def remove(tx: Tx, type_id: str) -> None:
    """A type that volumes have stays."""
    used = sa.select(volume.c.id).where(volume.c.volume_type_id == type_id, volume.c.deleted_at.is_(None)).limit(1)
    if tx.execute(used).first() is not None:
        raise WrongState("type-in-use", "Target volume type is still in use.", resource="volume-type")
    row = get(tx, type_id, all_types=True)
    if row.is_default:
        raise WrongState("type-default", "The default volume type cannot be deleted.", resource="volume-type")
    tx.execute(volume_type.update().where(volume_type.c.id == type_id).values(deleted_at=now()))


def _unique_name(tx: Tx, name: str, *, besides: str | None = None) -> None:
    row = tx.execute(sa.select(volume_type.c.id).where(volume_type.c.name == name, _ALIVE)).first()
    if row is not None and row.id != besides:
        raise Conflict("type-name", f"Volume Type {name} already exists.", field="name")
