"""Volume types as rows. Where a function takes a `scope`, it is a project, which sees the public types, and the private
ones that it was given access to; None sees all."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from cyclades.model import quota
from cyclades.model.errors import Conflict, Invalid, NotFound, WrongState
from cyclades.store import pages, quotas
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import now, project_default_type, volume, volume_type, volume_type_access

_ALIVE = volume_type.c.deleted_at.is_(None)
_NAME = sa.select(volume_type.c.name).where(volume_type.c.id == sa.bindparam("id"))


def add(tx: Tx, type_id: str, **values: Any) -> None:
    _unique_name(tx, values["name"])
    tx.execute(volume_type.insert().values(id=type_id, created_at=now(), **values))


def get(tx: Tx, type_id: str, scope: str | None) -> Row[Any]:
    row = tx.execute(query(scope).where(volume_type.c.id == type_id)).one_or_none()
    if row is None:
        raise NotFound("volume-type", type_id)
    return row


def find(tx: Tx, name_or_id: str, scope: str | None) -> Row[Any]:
    """By id or by name, as requests name them."""
    is_id = volume_type.c.id == name_or_id
    wanted = query(scope).where(sa.or_(is_id, volume_type.c.name == name_or_id))
    row = tx.execute(wanted.order_by(is_id.desc()).limit(1)).first()
    if row is None:
        raise NotFound("volume-type", name_or_id)
    return row


def default(tx: Tx, project_id: str) -> Row[Any]:
    """The type of a project's volumes that name none: its own default, or the cloud's."""
    own = sa.select(project_default_type.c.volume_type_id).where(project_default_type.c.project_id == project_id)
    type_id = tx.execute(own).scalar()
    if type_id is not None:
        return get(tx, type_id, project_id)
    row = tx.execute(sa.select(volume_type).where(volume_type.c.is_default, _ALIVE)).first()
    if row is None:
        raise NotFound("volume-type", "(default)")
    return row


def query(scope: str | None) -> sa.Select[Any]:
    """All types that a project sees, to be filtered and paged."""
    found = sa.select(volume_type).where(_ALIVE)
    return found if scope is None else found.where(is_open_to(scope))


def is_open_to(project_id: str) -> sa.ColumnElement[bool]:
    given = sa.select(volume_type_access.c.volume_type_id).where(volume_type_access.c.project_id == project_id)
    return sa.or_(volume_type.c.is_public, volume_type.c.id.in_(given))


def page(tx: Tx, found: sa.Select[Any], wanted: Page) -> Rows:
    return pages.fetch(tx, found, volume_type, wanted)


def names(tx: Tx) -> dict[str, str]:
    """Each type's name by its id; deleted ones too, since volumes keep theirs."""
    return {row.id: row.name for row in tx.execute(sa.select(volume_type.c.id, volume_type.c.name))}


def living_names(tx: Tx) -> dict[str, str]:
    """Each type's name by its id."""
    return {row.id: row.name for row in tx.execute(sa.select(volume_type.c.id, volume_type.c.name).where(_ALIVE))}


def name_of(tx: Tx, type_id: str) -> str:
    return tx.execute(_NAME, {"id": type_id}).scalar_one()  # type: ignore[no-any-return]


def change(tx: Tx, type_id: str, **values: Any) -> None:
    if "name" in values:
        _unique_name(tx, values["name"], besides=type_id)
    tx.execute(volume_type.update().where(volume_type.c.id == type_id).values(updated_at=now(), **values))


def is_used(tx: Tx, type_id: str) -> bool:
    """By a volume."""
    found = sa.select(volume.c.id).where(volume.c.volume_type_id == type_id, volume.c.deleted_at.is_(None)).limit(1)
    return tx.execute(found).first() is not None


def remove(tx: Tx, type_id: str) -> None:
    """A type that volumes have stays, and so does a default. What was said of it elsewhere goes with it."""
    if is_used(tx, type_id):
        raise WrongState("type-in-use", "Target volume type is still in use.", resource="volume-type")
    chosen = sa.select(project_default_type.c.project_id).where(project_default_type.c.volume_type_id == type_id)
    if get(tx, type_id, None).is_default or tx.execute(chosen.limit(1)).first() is not None:
        raise WrongState("type-default", f"The volume type {type_id} is a default type.", resource="volume-type")
    for resource in quota.PER_TYPE:
        quotas.forget_resource(tx, quota.per_type(resource, type_id))
    tx.execute(volume_type_access.delete().where(volume_type_access.c.volume_type_id == type_id))
    tx.execute(volume_type.update().where(volume_type.c.id == type_id).values(deleted_at=now()))


def projects_of(tx: Tx, type_id: str) -> list[str]:
    """Those that were given access to a private type."""
    found = sa.select(volume_type_access.c.project_id).where(volume_type_access.c.volume_type_id == type_id)
    return list(tx.execute(found.order_by(volume_type_access.c.project_id)).scalars())


def give_access(tx: Tx, row: Row[Any], project_id: str) -> None:
    _check_private(row)
    try:
        tx.execute(volume_type_access.insert().values(volume_type_id=row.id, project_id=project_id))
    except IntegrityError as error:
        text = f"Volume type access for {row.id} / {project_id} combination already exists."
        raise Conflict("type-access", text, field="project") from error


def take_access(tx: Tx, row: Row[Any], project_id: str) -> None:
    """Volumes that the project has of the type keep it."""
    _check_private(row)
    access = volume_type_access.c
    gone = volume_type_access.delete().where(access.volume_type_id == row.id, access.project_id == project_id)
    if tx.execute(gone).rowcount != 1:
        raise NotFound("volume-type-access", f"{row.id} / {project_id}")


def _check_private(row: Row[Any]) -> None:
    if row.is_public:
        raise Invalid("type-public", "Type access modification is not applicable to public volume type.")


def _unique_name(tx: Tx, name: str, *, besides: str | None = None) -> None:
    row = tx.execute(sa.select(volume_type.c.id).where(volume_type.c.name == name, _ALIVE)).first()
    if row is not None and row.id != besides:
        raise Conflict("type-name", f"Volume Type {name} already exists.", field="name")
