"""Domains as rows: each holds users and projects of its own names."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from cyclades.model.errors import Conflict, Forbidden, NotFound
from cyclades.store import projects, revocations, users
from cyclades.store.database import Tx
from cyclades.store.schema import domain, now, project, user

DEFAULT = "default"  # the id of the domain that is meant when none is named


def add(tx: Tx, domain_id: str, *, name: str, **values: Any) -> None:
    try:
        tx.execute(domain.insert(), {"id": domain_id, "name": name, "created_at": now(), **values})
    except IntegrityError as error:
        raise _duplicate(name) from error


def get(tx: Tx, domain_id: str) -> Row[Any]:
    row = tx.execute(sa.select(domain).where(domain.c.id == domain_id)).one_or_none()
    if row is None:
        raise NotFound("domain", domain_id)
    return row


def by_name(tx: Tx, name: str) -> Row[Any]:
    row = tx.execute(sa.select(domain).where(domain.c.name == name)).one_or_none()
    if row is None:
        raise NotFound("domain", name)
    return row


def every(tx: Tx, **wanted: Any) -> list[Row[Any]]:
    """Those whose columns are as `wanted`, by name."""
    found = sa.select(domain).where(*(domain.c[name] == value for name, value in wanted.items()))
    return list(tx.execute(found.order_by(domain.c.name)).all())


def change(tx: Tx, domain_id: str, **values: Any) -> None:
    """Disabling one ends the tokens of all its users, and all tokens for its projects."""
    if domain_id == DEFAULT and values.get("enabled") is False:
        raise Forbidden("domain-default", "The default domain cannot be disabled.")
    try:
        tx.execute(domain.update().where(domain.c.id == domain_id).values(**values))
    except IntegrityError as error:
        raise _duplicate(values["name"]) from error
    if values.get("enabled") is False:
        revocations.add(tx, "user", _ids(tx, user, domain_id))
        revocations.add(tx, "project", _ids(tx, project, domain_id))


def remove(tx: Tx, domain_id: str) -> None:
    """With its users and projects. It must have been disabled before: this is not undone by a second thought."""
    if get(tx, domain_id).enabled:
        raise Forbidden("domain-enabled", "Cannot delete a domain that is enabled, please disable it first.")
    for user_id in _ids(tx, user, domain_id):
        users.remove(tx, user_id)
    for project_id in _ids(tx, project, domain_id):
        projects.remove(tx, project_id)
    projects.forget_assignments(tx, "domain", domain_id)
    tx.execute(domain.delete().where(domain.c.id == domain_id))


def _ids(tx: Tx, table: sa.Table, domain_id: str) -> list[str]:
    return list(tx.execute(sa.select(table.c.id).where(table.c.domain_id == domain_id)).scalars())


def _duplicate(name: str) -> Conflict:
    return Conflict("domain-name", f"Conflict occurred attempting to store domain - it is not unique: {name}.")
