"""Projects as rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from cyclades.model.errors import Conflict, NotFound
from cyclades.store import revocations
from cyclades.store.database import Tx
from cyclades.store.schema import assignment, domain, now, project, user

_WITH_DOMAIN = sa.select(
    project, domain.c.name.label("domain_name"), domain.c.enabled.label("domain_enabled")
).join_from(project, domain, domain.c.id == project.c.domain_id)


def add(tx: Tx, project_id: str, *, domain_id: str, name: str, **values: Any) -> None:
    """`Conflict` if the domain has a project of this name."""
    row = {"id": project_id, "domain_id": domain_id, "name": name, "created_at": now(), **values}
    try:
        tx.execute(project.insert(), row)
    except IntegrityError as error:
        raise _duplicate(name) from error


def get(tx: Tx, project_id: str) -> Row[Any]:
    """With `domain_name` and `domain_enabled`."""
    row = tx.execute(_WITH_DOMAIN.where(project.c.id == project_id)).one_or_none()
    if row is None:
        raise NotFound("project", project_id)
    return row


def by_name(tx: Tx, name: str, domain_id: str) -> Row[Any]:
    row = tx.execute(_WITH_DOMAIN.where(project.c.name == name, project.c.domain_id == domain_id)).one_or_none()
    if row is None:
        raise NotFound("project", name)
    return row


def every(tx: Tx, **wanted: Any) -> list[Row[Any]]:
    """Those whose columns are as `wanted`, by name."""
    found = sa.select(project).where(*(project.c[name] == value for name, value in wanted.items()))
    return list(tx.execute(found.order_by(project.c.name, project.c.id)).all())


def of_user(tx: Tx, user_id: str, **wanted: Any) -> list[Row[Any]]:
    """Those in which a user has a role, by name."""
    held = sa.select(assignment.c.target_id).where(
        assignment.c.user_id == user_id, assignment.c.target_kind == "project"
    )
    found = sa.select(project).where(project.c.id.in_(held))
    found = found.where(*(project.c[name] == value for name, value in wanted.items()))
    return list(tx.execute(found.order_by(project.c.name, project.c.id)).all())


def change(tx: Tx, project_id: str, **values: Any) -> None:
    """Disabling one ends all tokens for it."""
    try:
        tx.execute(project.update().where(project.c.id == project_id).values(**values))
    except IntegrityError as error:
        raise _duplicate(values["name"]) from error
    if values.get("enabled") is False:
        revocations.add(tx, "project", [project_id])


def remove(tx: Tx, project_id: str) -> None:
    """With all roles in it."""
    get(tx, project_id)
    tx.execute(project.delete().where(project.c.id == project_id))
    forget_assignments(tx, "project", project_id)
    tx.execute(user.update().where(user.c.default_project_id == project_id).values(default_project_id=None))
    revocations.add(tx, "project", [project_id])


def forget_assignments(tx: Tx, target_kind: str, target_id: str) -> None:
    """Of a project or a domain that is removed."""
    of_target = sa.and_(assignment.c.target_kind == target_kind, assignment.c.target_id == target_id)
    held = tx.execute(sa.select(assignment.c.user_id).distinct().where(of_target)).scalars()
    revocations.add(tx, "assignment", [revocations.assignment_subject(user_id, target_id) for user_id in held])
    tx.execute(assignment.delete().where(of_target))


def _duplicate(name: str) -> Conflict:
    text = f"Conflict occurred attempting to store project - it is not possible to create a project named {name} twice."
    return Conflict("project-name", text, field="name")
