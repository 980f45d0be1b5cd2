"""Flavors as rows. Where a function takes a `scope`, it is a project, which sees the public flavors, and those of the
others that it was given access to; None sees all."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from cyclades.model.errors import Conflict, NotFound
from cyclades.store import pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import flavor, flavor_access, now

_ALIVE = flavor.c.deleted_at.is_(None)


def add(tx: Tx, flavor_id: str, **values: Any) -> None:
    """`Conflict` if a flavor has the id or the name; the id of a deleted one may be used again."""
    same_id = tx.execute(sa.select(flavor.c.deleted_at).where(flavor.c.id == flavor_id)).first()
    if same_id is not None and same_id.deleted_at is None:
        raise Conflict("flavor-id", f"Flavor with ID {flavor_id} already exists.", field="id")
    if tx.execute(sa.select(flavor.c.id).where(flavor.c.name == values["name"], _ALIVE)).first() is not None:
        raise Conflict("flavor-name", f"Flavor with name {values['name']} already exists.", field="name")
    tx.execute(flavor.delete().where(flavor.c.id == flavor_id))
    tx.execute(flavor.insert(), {"id": flavor_id, "created_at": now(), **values})


def get(tx: Tx, flavor_id: str, scope: str | None) -> Row[Any]:
    row = tx.execute(query(scope).where(flavor.c.id == flavor_id)).one_or_none()
    if row is None:
        raise NotFound("flavor", flavor_id)
    return row


def query(scope: str | None) -> sa.Select[Any]:
    """All flavors that a project sees, to be filtered and paged."""
    found = sa.select(flavor).where(_ALIVE)
    if scope is None:
        return found
    mine = sa.exists().where(flavor_access.c.flavor_id == flavor.c.id, flavor_access.c.project_id == scope)
    return found.where(sa.or_(flavor.c.is_public, mine))


def page(tx: Tx, found: sa.Select[Any], wanted: Page) -> Rows:
    return pages.fetch(tx, found, flavor, wanted)


def change(tx: Tx, flavor_id: str, **values: Any) -> None:
    tx.execute(flavor.update().where(flavor.c.id == flavor_id).values(updated_at=now(), **values))


def remove(tx: Tx, flavor_id: str) -> None:
    """Servers made of it keep what it was."""
    tx.execute(flavor_access.delete().where(flavor_access.c.flavor_id == flavor_id))
    tx.execute(flavor.update().where(flavor.c.id == flavor_id).values(deleted_at=now()))


# --- access ---------------------------------------------------------------------------------------


def projects_of(tx: Tx, flavor_id: str) -> list[str]:
    """Those that were given access."""
    found = sa.select(flavor_access.c.project_id).where(flavor_access.c.flavor_id == flavor_id)
    return list(tx.execute(found.order_by(flavor_access.c.project_id)).scalars())


def give_access(tx: Tx, flavor_id: str, project_id: str) -> None:
    """`Conflict` if it has it already."""
    try:
        tx.execute(flavor_access.insert().values(flavor_id=flavor_id, project_id=project_id))
    except IntegrityError as error:
        text = f"Flavor access already exists for flavor {flavor_id} and project {project_id} combination."
        raise Conflict("flavor-access", text, field="tenant") from error


def take_access(tx: Tx, flavor_id: str, project_id: str) -> None:
    """Servers that the project has of the flavor stay."""
    access = flavor_access.c
    gone = flavor_access.delete().where(access.flavor_id == flavor_id, access.project_id == project_id)
    if tx.execute(gone).rowcount != 1:
        raise NotFound("flavor-access", f"for flavor {flavor_id} and project {project_id}")
