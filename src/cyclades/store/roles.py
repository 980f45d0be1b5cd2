"""Roles as rows. Those that rules are made of stay as they are."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from cyclades.model.errors import Conflict, Forbidden, NotFound
from cyclades.model.roles import BUILT_IN
from cyclades.store import revocations
from cyclades.store.database import Tx
from cyclades.store.schema import assignment, role


def add(tx: Tx, role_id: str, *, name: str, **values: Any) -> None:
    try:
        tx.execute(role.insert(), {"id": role_id, "name": name, **values})
    except IntegrityError as error:
        raise _duplicate(name) from error


def get(tx: Tx, role_id: str) -> Row[Any]:
    row = tx.execute(sa.select(role).where(role.c.id == role_id)).one_or_none()
    if row is None:
        raise NotFound("role", role_id)
    return row


def by_name(tx: Tx, name: str) -> Row[Any]:
    row = tx.execute(sa.select(role).where(role.c.name == name)).one_or_none()
    if row is None:
        raise NotFound("role", name)
    return row


def every(tx: Tx, **wanted: Any) -> list[Row[Any]]:
    """Those whose columns are as `wanted`, by name."""
    found = sa.select(role).where(*(role.c[name] == value for name, value in wanted.items()))
    return list(tx.execute(found.order_by(role.c.name)).all())


def change(tx: Tx, role_id: str, **values: Any) -> None:
    row = get(tx, role_id)
    if row.name in BUILT_IN and values.get("name", row.name) != row.name:
        raise _built_in(row.name)
    try:
        tx.execute(role.update().where(role.c.id == role_id).values(**values))
    except IntegrityError as error:
        raise _duplicate(values["name"]) from error


def remove(tx: Tx, role_id: str) -> None:
    """Ends the tokens of those who have it, where they have it."""
    row = get(tx, role_id)
    if row.name in BUILT_IN:
        raise _built_in(row.name)
    held = tx.execute(sa.select(assignment.c.user_id, assignment.c.target_id).where(assignment.c.role_id == role_id))
    subjects = [revocations.assignment_subject(one.user_id, one.target_id) for one in held]
    tx.execute(role.delete().where(role.c.id == role_id))
    revocations.add(tx, "assignment", subjects)


def _built_in(name: str) -> Forbidden:
    return Forbidden("role-built-in", f"The role {name} is built in: it cannot be renamed or deleted.")


def _duplicate(name: str) -> Conflict:
    return Conflict("role-name", f"Conflict occurred attempting to store role - it is not unique: {name}.")
