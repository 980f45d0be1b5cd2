"""Assignments as rows: a user's role in a project, in a domain, or in the system."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from cyclades.model.errors import Conflict, NotFound
from cyclades.store import revocations
from cyclades.store.database import Tx
from cyclades.store.schema import assignment, domain, project, role, user

Target = Literal["project", "domain", "system"]
SYSTEM = "all"  # the system's id as a target


def add(tx: Tx, user_id: str, target: Target, target_id: str, role_id: str) -> None:
    """`NotFound` if one of them does not exist. Done twice, nothing happens."""
    _all_exist(tx, user_id, target, target_id, role_id)
    if has(tx, user_id, target, target_id, role_id):
        return
    row = {"user_id": user_id, "target_kind": target, "target_id": target_id, "role_id": role_id}
    try:
        tx.execute(assignment.insert(), row)
    except IntegrityError as error:
        raise Conflict("assignment", "The same role is being assigned by another request.") from error


def has(tx: Tx, user_id: str, target: Target, target_id: str, role_id: str) -> bool:
    wanted = sa.select(assignment.c.role_id).where(*_is(user_id, target, target_id), assignment.c.role_id == role_id)
    return tx.execute(wanted).first() is not None


def remove(tx: Tx, user_id: str, target: Target, target_id: str, role_id: str) -> None:
    """Ends the user's tokens for this target."""
    deleted = tx.execute(assignment.delete().where(*_is(user_id, target, target_id), assignment.c.role_id == role_id))
    if deleted.rowcount != 1:
        raise NotFound("role-assignment", role_id)
    revocations.add(tx, "assignment", [revocations.assignment_subject(user_id, target_id)])


def roles(tx: Tx, user_id: str, target: Target, target_id: str) -> list[Row[Any]]:
    """The roles that a user has there, by name."""
    found = sa.select(role).join(assignment, assignment.c.role_id == role.c.id)
    return list(tx.execute(found.where(*_is(user_id, target, target_id)).order_by(role.c.name)).all())


def domains_of(tx: Tx, user_id: str) -> list[Row[Any]]:
    """The domains in which a user has a role, by name."""
    held = sa.select(assignment.c.target_id).where(
        assignment.c.user_id == user_id, assignment.c.target_kind == "domain"
    )
    return list(tx.execute(sa.select(domain).where(domain.c.id.in_(held)).order_by(domain.c.name)).all())


def every(tx: Tx, **wanted: Any) -> list[Row[Any]]:
    """Those whose columns are as `wanted`, with the names of everything in them and of its domain."""
    user_domain, project_domain = domain.alias("user_domain"), domain.alias("project_domain")
    in_project = sa.and_(assignment.c.target_kind == "project", assignment.c.target_id == project.c.id)
    in_domain = sa.and_(assignment.c.target_kind == "domain", assignment.c.target_id == domain.c.id)
    found = (
        sa.select(
            assignment,
            role.c.name.label("role_name"),
            user.c.name.label("user_name"),
            user.c.domain_id.label("user_domain_id"),
            user_domain.c.name.label("user_domain_name"),
            sa.func.coalesce(project.c.name, domain.c.name).label("target_name"),
            project.c.domain_id.label("project_domain_id"),
            project_domain.c.name.label("project_domain_name"),
        )
        .join(role, role.c.id == assignment.c.role_id)
        .join(user, user.c.id == assignment.c.user_id)
        .join(user_domain, user_domain.c.id == user.c.domain_id)
        .outerjoin(project, in_project)
        .outerjoin(project_domain, project_domain.c.id == project.c.domain_id)
        .outerjoin(domain, in_domain)
        .where(*(assignment.c[name] == value for name, value in wanted.items()))
        .order_by(user.c.name, assignment.c.user_id, assignment.c.target_id, role.c.name)
    )
    return list(tx.execute(found).all())


def _is(user_id: str, target: Target, target_id: str) -> list[sa.ColumnElement[bool]]:
    return [
        assignment.c.user_id == user_id,
        assignment.c.target_kind == target,
        assignment.c.target_id == target_id,
    ]


def _all_exist(tx: Tx, user_id: str, target: Target, target_id: str, role_id: str) -> None:
    needed: list[tuple[str, sa.Table, str]] = [("user", user, user_id), ("role", role, role_id)]
    if target == "project":
        needed.append(("project", project, target_id))
    elif target == "domain":
        needed.append(("domain", domain, target_id))
    for kind, table, ident in needed:
        # Locked, so that on PostgreSQL none of them goes away before this is committed.
        found = sa.select(table.c.id).where(table.c.id == ident).with_for_update(read=True)
        if tx.execute(found).first() is None:
            raise NotFound(kind, ident)
