"""What lists are narrowed by: each filter that was given is one more condition."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cyclades.cli.beside import find_project, find_user
from cyclades.store.database import Tx


def conditions(
    tx: Tx,
    table: sa.Table,
    *,
    project: str | None = None,
    user: str | None = None,
    status: list[str] | None = None,
    name: str | None = None,
    deleted: bool = False,
    **equal: Any,
) -> list[sa.ColumnElement[bool]]:
    """Those of `table` in a project and by a user (names or ids), in one of these statuses whatever their case, with
    `name` in their name, and with columns that are `equal`; without the deleted ones unless wanted. None is no
    condition."""
    found: list[sa.ColumnElement[bool]] = []
    if not deleted:
        found.append(table.c.deleted_at.is_(None))
    if project is not None:
        found.append(table.c.project_id == find_project(tx, project).id)
    if user is not None:
        found.append(table.c.user_id == find_user(tx, user))
    if status:
        found.append(sa.func.lower(table.c.status).in_([one.lower() for one in status]))
    if name is not None:
        found.append(table.c.name.contains(name, autoescape=True))
    found += [table.c[column] == value for column, value in equal.items() if value is not None]
    return found
