"""Snapshots as rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import NotFound
from cyclades.model.status import SNAPSHOT_ACTIONS, wrong_status
from cyclades.store import events, pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import now, snapshot

_ALIVE = snapshot.c.deleted_at.is_(None)


def add(tx: Tx, snapshot_id: str, **values: Any) -> None:
    tx.execute(snapshot.insert(), {"id": snapshot_id, "created_at": now(), **values})
    events.changed(tx, "snapshot", snapshot_id, created=True)


def get(tx: Tx, snapshot_id: str, scope: str | None) -> Row[Any]:
    """A snapshot of the project `scope` (None: of any), or `NotFound`."""
    row = tx.execute(query(scope).where(snapshot.c.id == snapshot_id)).one_or_none()
    if row is None:
        raise NotFound("snapshot", snapshot_id)
    return row


def query(scope: str | None) -> sa.Select[Any]:
    """All snapshots of a project (None: of all), to be filtered and paged."""
    found = sa.select(snapshot).where(_ALIVE)
    return found if scope is None else found.where(snapshot.c.project_id == scope)


def page(tx: Tx, found: sa.Select[Any], wanted: Page) -> Rows:
    return pages.fetch(tx, found, snapshot, wanted)


def count(tx: Tx, found: sa.Select[Any]) -> int:
    total: int = tx.execute(sa.select(sa.func.count()).select_from(found.subquery())).scalar_one()
    return total


def begin(tx: Tx, row: Row[Any], action: str, *, status: str, op_id: str) -> None:
    """Give the snapshot to an operation: `status` from one that allows `action`, or `WrongState`."""
    allowed = SNAPSHOT_ACTIONS[action]
    changed = tx.execute(
        snapshot.update()
        .where(snapshot.c.id == row.id, snapshot.c.status.in_(allowed), snapshot.c.operation_id.is_(None), _ALIVE)
        .values(status=status, operation_id=op_id, updated_at=now())
    )
    if changed.rowcount != 1:
        raise wrong_status("snapshot", action, allowed, row.status)
    events.changed(tx, "snapshot", row.id)


def finish(tx: Tx, snapshot_id: str, op_id: str, **values: Any) -> bool:
    """Take the snapshot back from the operation that owns it; False (and nothing happens) if it no longer does."""
    values = {"reason": None, **values}
    changed = tx.execute(
        snapshot.update()
        .where(snapshot.c.id == snapshot_id, snapshot.c.operation_id == op_id)
        .values(operation_id=None, updated_at=now(), **values)
    )
    events.changed(tx, "snapshot", snapshot_id)
    return changed.rowcount == 1


def change(tx: Tx, snapshot_id: str, **values: Any) -> None:
    tx.execute(snapshot.update().where(snapshot.c.id == snapshot_id).values(updated_at=now(), **values))
    events.changed(tx, "snapshot", snapshot_id)
