"""Flavors as rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import Conflict, NotFound
from cyclades.store import pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import flavor, now

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


def get(tx: Tx, flavor_id: str, *, private: bool) -> Row[Any]:
    """`private`: those that are not public, too."""
    row = tx.execute(query(private=private).where(flavor.c.id == flavor_id)).one_or_none()
    if row is None:
        raise NotFound("flavor", flavor_id)
    return row


def query(*, private: bool) -> sa.Select[Any]:
    found = sa.select(flavor).where(_ALIVE)
    return found if private else found.where(flavor.c.is_public)


def page(tx: Tx, found: sa.Select[Any], wanted: Page) -> Rows:
    return pages.fetch(tx, found, flavor, wanted)


def change(tx: Tx, flavor_id: str, **values: Any) -> None:
    tx.execute(flavor.update().where(flavor.c.id == flavor_id).values(updated_at=now(), **values))


def remove(tx: Tx, flavor_id: str) -> None:
    """Servers made of it keep what it was."""
    tx.execute(flavor.update().where(flavor.c.id == flavor_id).values(deleted_at=now()))
