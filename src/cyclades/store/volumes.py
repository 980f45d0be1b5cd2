"""Volumes as rows. A status changes only by compare-and-swap from the statuses that the rule allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import NotFound
from cyclades.model.status import VOLUME_ERROR, VOLUME_TRANSITIONAL, volume_allows, wrong_status
from cyclades.store import events, messages, pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import attachment, now, snapshot, volume

_ALIVE = volume.c.deleted_at.is_(None)
_BY_ID = sa.select(volume).where(volume.c.id == sa.bindparam("id"), _ALIVE)
_BY_ID_IN_PROJECT = _BY_ID.where(volume.c.project_id == sa.bindparam("project_id"))
_HOLD, _HOLD_IN_PROJECT = _BY_ID.with_for_update(), _BY_ID_IN_PROJECT.with_for_update()
_ATTACHMENTS = sa.select(attachment).where(
    attachment.c.volume_id.in_(sa.bindparam("ids", expanding=True)), attachment.c.deleted_at.is_(None)
)


def add(tx: Tx, volume_id: str, **values: Any) -> None:
    tx.execute(volume.insert(), {"id": volume_id, "created_at": now(), **values})
    events.changed(tx, "volume", volume_id, created=True)


def get(tx: Tx, volume_id: str, scope: str | None) -> Row[Any]:
    """A volume of the project `scope` (None: of any), or `NotFound`."""
    return _one(tx, _BY_ID if scope is None else _BY_ID_IN_PROJECT, volume_id, scope)


def hold(tx: Tx, volume_id: str, scope: str | None) -> Row[Any]:
    """`get`, and until the transaction ends nobody else changes the volume's status or its attachments."""
    return _one(tx, _HOLD if scope is None else _HOLD_IN_PROJECT, volume_id, scope)


def _one(tx: Tx, query: sa.Select[Any], volume_id: str, scope: str | None) -> Row[Any]:
    ids = {"id": volume_id} if scope is None else {"id": volume_id, "project_id": scope}
    row = tx.execute(query, ids).one_or_none()
    if row is None:
        raise NotFound("volume", volume_id)
    return row


def get_even_deleted(tx: Tx, volume_id: str) -> Row[Any]:
    """For what outlives a volume: its snapshots."""
    return tx.execute(sa.select(volume).where(volume.c.id == volume_id)).one()


def query(scope: str | None) -> sa.Select[Any]:
    """All volumes of a project (None: of all), to be filtered and paged."""
    found = sa.select(volume).where(_ALIVE)
    return found if scope is None else found.where(volume.c.project_id == scope)


def page(tx: Tx, found: sa.Select[Any], wanted: Page, scope: str | None) -> Rows:
    """A page of `found`, which is `query(scope)` and more."""
    among = sa.true() if scope is None else volume.c.project_id == scope
    return pages.fetch(tx, found, volume, wanted, among=among)


def count(tx: Tx, found: sa.Select[Any]) -> int:
    total: int = tx.execute(sa.select(sa.func.count()).select_from(found.subquery())).scalar_one()
    return total


def total_size(tx: Tx, found: sa.Select[Any]) -> int:
    """GiB of the volumes that a query finds."""
    return tx.execute(sa.select(sa.func.sum(found.subquery().c.size))).scalar() or 0


def metadata_values(tx: Tx, found: sa.Select[Any]) -> dict[str, list[str]]:
    """Each value that each key has among the metadata of the volumes that a query finds."""
    rows = found.subquery()
    each = sa.func.json_each_text if tx.dialect == "postgresql" else sa.func.json_each
    pair = each(rows.c.metadata).table_valued("key", "value", name="pair")
    distinct = sa.select(pair.c.key, pair.c.value).select_from(rows.join(pair, sa.true())).distinct()
    values: dict[str, list[str]] = {}
    for row in tx.execute(distinct.order_by(pair.c.key, pair.c.value)):
        values.setdefault(row.key, []).append(row.value)
    return values


def begin(tx: Tx, row: Row[Any], action: str, *, status: str, op_id: str | None, **values: Any) -> None:
    """Give the volume to an operation: `status` from one that allows `action`, or `WrongState`. Without an operation,
    a transitional `status` is a client's, which holds the volume from now on."""
    allowed = volume_allows(action, multiattach=row.multiattach)
    held_since = _held_since(status) if op_id is None else None
    changed = tx.execute(
        volume.update()
        .where(volume.c.id == row.id, volume.c.status.in_(allowed), volume.c.operation_id.is_(None), _ALIVE)
        .values(status=status, operation_id=op_id, held_since=held_since, updated_at=now(), **values)
    )
    if changed.rowcount != 1:
        status_now = tx.execute(sa.select(volume.c.status).where(volume.c.id == row.id)).scalar()
        raise wrong_status("volume", action, allowed, status_now)
    events.changed(tx, "volume", row.id)


def finish(tx: Tx, volume_id: str, op_id: str, **values: Any) -> bool:
    """Take the volume back from the operation that owns it; False (and nothing happens) if it no longer does."""
    values = {"reason": None, **values}
    if "status" in values:
        values["held_since"] = _held_since(values["status"])
    changed = tx.execute(
        volume.update()
        .where(volume.c.id == volume_id, volume.c.operation_id == op_id)
        .values(operation_id=None, updated_at=now(), **values)
    )
    events.changed(tx, "volume", volume_id)
    if changed.rowcount == 1 and values.get("status") in VOLUME_ERROR:
        messages.tell_beside(tx, op_id, "volume", volume_id, values["reason"])
    return changed.rowcount == 1


def _held_since(status: str) -> int | None:
    return now() if status in VOLUME_TRANSITIONAL else None


def change(tx: Tx, volume_id: str, **values: Any) -> None:
    tx.execute(volume.update().where(volume.c.id == volume_id).values(updated_at=now(), **values))
    events.changed(tx, "volume", volume_id)


def move(tx: Tx, row: Row[Any], *, project_id: str, user_id: str) -> None:
    """Give the volume to another project."""
    tx.execute(
        volume.update().where(volume.c.id == row.id).values(project_id=project_id, user_id=user_id, updated_at=now())
    )
    events.moved(tx, "volume", row.id, left=row.project_id)


def held_by_projects(tx: Tx, pool: str) -> dict[str, tuple[int, int, int, int]]:
    """What each project has in a pool: how many volumes, their GiB, how many snapshots, their GiB."""
    found: dict[str, tuple[int, int, int, int]] = {}
    number, size = sa.func.count().label("number"), sa.func.sum(volume.c.size).label("size")
    own = sa.select(volume.c.project_id, number, size).where(volume.c.pool == pool, _ALIVE)
    for row in tx.execute(own.group_by(volume.c.project_id)):
        found[row.project_id] = (row.number, int(row.size), 0, 0)
    of_snapshots = (
        sa.select(snapshot.c.project_id, number, sa.func.sum(snapshot.c.size).label("size"))
        .join(volume, volume.c.id == snapshot.c.volume_id)
        .where(volume.c.pool == pool, snapshot.c.deleted_at.is_(None))
        .group_by(snapshot.c.project_id)
    )
    for row in tx.execute(of_snapshots):
        found[row.project_id] = (*found.get(row.project_id, (0, 0))[:2], row.number, int(row.size))
    return found


def has_snapshots(tx: Tx, volume_id: str) -> bool:
    """Of its own project: those that stayed with its former project are no concern of its owner's."""
    found = sa.select(snapshot.c.id).join(volume, volume.c.id == snapshot.c.volume_id)
    own = found.where(volume.c.id == volume_id, snapshot.c.project_id == volume.c.project_id)
    return tx.execute(own.where(snapshot.c.deleted_at.is_(None)).limit(1)).first() is not None


def attachments_of(tx: Tx, volume_ids: Iterable[str]) -> dict[str, list[Row[Any]]]:
    """The attachments of each of these volumes, in one query."""
    ids = list(volume_ids)
    found: dict[str, list[Row[Any]]] = {}
    if ids:
        for row in tx.execute(_ATTACHMENTS, {"ids": ids}):
            found.setdefault(row.volume_id, []).append(row)
    return found
