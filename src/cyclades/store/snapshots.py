"""Snapshots as rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import NotFound
from cyclades.model.status import SNAPSHOT_ACTIONS, SNAPSHOT_ERROR, SNAPSHOT_TRANSITIONAL, wrong_status
from cyclades.store import events, messages, pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import now, snapshot, volume

_ALIVE = snapshot.c.deleted_at.is_(None)


def add(tx: Tx, snapshot_id: str, **values: Any) -> None:
    tx.execute(snapshot.insert(), {"id": snapshot_id, "created_at": now(), **values})
    events.changed(tx, "snapshot", snapshot_id, created=True)


def get(tx: Tx, snapshot_id: str, scope: str | None) -> Row[Any]:
    """A snapshot of the project `scope` (None: of any), or `NotFound`."""
    row = find(tx, snapshot_id, scope)
    if row is None:
        raise NotFound("snapshot", snapshot_id)
    return row


def find(tx: Tx, snapshot_id: str, scope: str | None) -> Row[Any] | None:
    """`get`, or None where there is none."""
    return tx.execute(query(scope).where(snapshot.c.id == snapshot_id)).one_or_none()


def hold(tx: Tx, snapshot_id: str, scope: str | None) -> Row[Any]:
    """`get`, and until the transaction ends nobody else changes the snapshot's status."""
    row = tx.execute(query(scope).where(snapshot.c.id == snapshot_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("snapshot", snapshot_id)
    return row


def of_volume(tx: Tx, volume_id: str, project_id: str | None) -> list[Row[Any]]:
    """Those that a project (None: all) has of a volume, newest first."""
    wanted = query(project_id).where(snapshot.c.volume_id == volume_id)
    return list(tx.execute(wanted.order_by(snapshot.c.created_at.desc(), snapshot.c.id.desc())).all())


def of_operation(tx: Tx, op_id: str) -> list[Row[Any]]:
    """Those that an operation owns, newest first."""
    wanted = query(None).where(snapshot.c.operation_id == op_id)
    return list(tx.execute(wanted.order_by(snapshot.c.created_at.desc(), snapshot.c.id.desc())).all())


def query(scope: str | None) -> sa.Select[Any]:
    """All snapshots of a project (None: of all), to be filtered and paged."""
    found = sa.select(snapshot).where(_ALIVE)
    return found if scope is None else found.where(snapshot.c.project_id == scope)


def query_of_pool(pool: str) -> sa.Select[Any]:
    """All snapshots whose content lies in a pool."""
    return query(None).join(volume, volume.c.id == snapshot.c.volume_id).where(volume.c.pool == pool)


def page(tx: Tx, found: sa.Select[Any], wanted: Page, scope: str | None) -> Rows:
    """A page of `found`, which is `query(scope)` and more."""
    among = sa.true() if scope is None else snapshot.c.project_id == scope
    return pages.fetch(tx, found, snapshot, wanted, among=among)


def count(tx: Tx, found: sa.Select[Any]) -> int:
    total: int = tx.execute(sa.select(sa.func.count()).select_from(found.subquery())).scalar_one()
    return total


def begin(tx: Tx, row: Row[Any], action: str, *, status: str, op_id: str | None, **values: Any) -> None:
    """Give the snapshot to an operation: `status` from one that allows `action`, or `WrongState`. Without an operation,
    a transitional `status` is kept until somebody says otherwise."""
    allowed = SNAPSHOT_ACTIONS[action]
    held_since = _held_since(status) if op_id is None else None
    changed = tx.execute(
        snapshot.update()
        .where(snapshot.c.id == row.id, snapshot.c.status.in_(allowed), snapshot.c.operation_id.is_(None), _ALIVE)
        .values(status=status, operation_id=op_id, held_since=held_since, updated_at=now(), **values)
    )
    if changed.rowcount != 1:
        raise wrong_status("snapshot", action, allowed, row.status)
    events.changed(tx, "snapshot", row.id)


def finish(tx: Tx, snapshot_id: str, op_id: str, **values: Any) -> bool:
    """Take the snapshot back from the operation that owns it; False (and nothing happens) if it no longer does."""
    values = {"reason": None, **values}
    if "status" in values:
        values["held_since"] = _held_since(values["status"])
    changed = tx.execute(
        snapshot.update()
        .where(snapshot.c.id == snapshot_id, snapshot.c.operation_id == op_id)
        .values(operation_id=None, updated_at=now(), **values)
    )
    events.changed(tx, "snapshot", snapshot_id)
    if changed.rowcount == 1 and values.get("status") in SNAPSHOT_ERROR:
        messages.tell_beside(tx, op_id, "snapshot", snapshot_id, values["reason"])
    return changed.rowcount == 1


def _held_since(status: str) -> int | None:
    return now() if status in SNAPSHOT_TRANSITIONAL else None


def change(tx: Tx, snapshot_id: str, **values: Any) -> None:
    tx.execute(snapshot.update().where(snapshot.c.id == snapshot_id).values(updated_at=now(), **values))
    events.changed(tx, "snapshot", snapshot_id)


def move(tx: Tx, row: Row[Any], *, project_id: str, user_id: str) -> None:
    """Give the snapshot to another project."""
    tx.execute(
        snapshot.update()
        .where(snapshot.c.id == row.id)
        .values(project_id=project_id, user_id=user_id, updated_at=now())
    )
    events.moved(tx, "snapshot", row.id, left=row.project_id)
