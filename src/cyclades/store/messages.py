"""What went wrong, as its project reads it: every error status has its reason here."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import NotFound
from cyclades.store import operations, pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import image, message, now, server, snapshot, volume

LIFE = 30 * 86400 * 1_000_000  # µs that a message is kept

_TABLES = {"volume": volume, "snapshot": snapshot, "image": image, "server": server}


def add(tx: Tx, kind: str, resource_id: str, text: str, *, operation: str, request_id: str, project_id: str) -> None:
    """Tell the project that has the resource; `project_id` if there is none. `operation` is the kind of what failed."""
    table, moment = _TABLES[kind], now()
    project_id = tx.execute(sa.select(table.c.project_id).where(table.c.id == resource_id)).scalar() or project_id
    tx.execute(
        message.insert(),
        {
            "id": str(uuid.uuid4()),
            "project_id": project_id,
            "request_id": request_id,
            "operation": operation,
            "resource_kind": kind,
            "resource_id": resource_id,
            "text": text,
            "created_at": moment,
            "expires_at": moment + LIFE,
        },
    )


def tell(tx: Tx, op_id: str, text: str) -> None:
    """Of an operation that failed; what was asked of a pool is no project's."""
    row = operations.get(tx, op_id)
    assert row is not None
    if row.resource_kind in _TABLES:
        _tell(tx, row, row.resource_kind, row.resource_id, text)


def tell_beside(tx: Tx, op_id: str, kind: str, resource_id: str, text: str) -> None:
    """Of another resource that an operation leaves in an error; of its own the engine tells."""
    row = operations.get(tx, op_id)
    assert row is not None
    if row.resource_id != resource_id:
        _tell(tx, row, kind, resource_id, text)


def _tell(tx: Tx, row: Row[Any], kind: str, resource_id: str, text: str) -> None:
    add(tx, kind, resource_id, text, operation=row.kind, request_id=row.request_id, project_id=row.project_id)


def get(tx: Tx, message_id: str, scope: str | None) -> Row[Any]:
    """A message to the project `scope` (None: to any), or `NotFound`."""
    row = tx.execute(query(scope).where(message.c.id == message_id)).one_or_none()
    if row is None:
        raise NotFound("message", message_id)
    return row


def query(scope: str | None) -> sa.Select[Any]:
    """All messages to a project (None: to all), to be filtered and paged."""
    found = sa.select(message).where(message.c.expires_at > now())
    return found if scope is None else found.where(message.c.project_id == scope)


def page(tx: Tx, found: sa.Select[Any], wanted: Page, scope: str | None) -> Rows:
    """A page of `found`, which is `query(scope)` and more."""
    among = sa.true() if scope is None else message.c.project_id == scope
    return pages.fetch(tx, found, message, wanted, among=among)


def remove(tx: Tx, message_id: str) -> None:
    tx.execute(message.delete().where(message.c.id == message_id))
