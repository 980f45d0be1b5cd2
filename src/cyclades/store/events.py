"""What became of resources, in the order of commits, for clients that watch instead of poll.

An event is written at the end of the transaction that changed its resource, once for each resource. Their ids follow
the order of commits: on PostgreSQL, where a sequence alone does not promise that, a lock is held from before an event
gets its id until the commit. So whoever has read up to an id has missed none before it.
"""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.store.database import Tx
from cyclades.store.schema import event, image, now, server, snapshot, volume

SIGNAL = "events"
_LOCK = 0x6379_636C_6576_6E74  # PostgreSQL's name for the lock: any number, but always this one

Kind = Literal["volume", "snapshot", "image", "server"]
_TABLES: dict[Kind, sa.Table] = {"volume": volume, "snapshot": snapshot, "image": image, "server": server}


def changed(tx: Tx, kind: Kind, resource_id: str, *, created: bool = False) -> None:
    """Say that this transaction changes a resource."""
    gathered = tx.at_end.setdefault(_write, {})
    gathered[kind, resource_id] = created or gathered.get((kind, resource_id), False)


def moved(tx: Tx, kind: Kind, resource_id: str, *, left: str) -> None:
    """Say that this transaction takes a resource from the project `left`: for that one it is gone, for its new one it
    is there from now on."""
    changed(tx, kind, resource_id, created=True)
    tx.at_end.setdefault(_write_left, {})[kind, resource_id] = left


def _write(tx: Tx, gathered: dict[tuple[Kind, str], bool]) -> None:
    found = []
    for (kind, resource_id), created in gathered.items():
        table = _TABLES[kind]
        columns = (table.c.project_id, table.c.status, table.c.deleted_at)
        row = tx.execute(sa.select(*columns).where(table.c.id == resource_id)).one_or_none()
        if row is None:
            continue
        change = "created" if created else "deleted" if row.deleted_at is not None else "updated"
        found.append(_event(row.project_id, kind, resource_id, change, row.status))
    _add(tx, found)


def _write_left(tx: Tx, gathered: dict[tuple[Kind, str], str]) -> None:
    _add(tx, [_event(left, kind, resource_id, "deleted", "deleted") for (kind, resource_id), left in gathered.items()])


def _event(project_id: str, kind: Kind, resource_id: str, change: str, status: str) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "resource_kind": kind,
        "resource_id": resource_id,
        "change": change,
        "status": status,
        "created_at": now(),
    }


def _add(tx: Tx, found: list[dict[str, Any]]) -> None:
    if not found:
        return
    if tx.dialect == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    tx.execute(event.insert(), found)
    tx.signal(SIGNAL)


def after(tx: Tx, project_id: str, seen: int, *, most: int) -> list[Row[Any]]:
    """A project's events after the id `seen`, oldest first."""
    wanted = sa.select(event).where(event.c.project_id == project_id, event.c.id > seen)
    return list(tx.execute(wanted.order_by(event.c.id).limit(most)).all())


def bounds(tx: Tx) -> tuple[int, int]:
    """The oldest and the newest id that are kept, of all projects; 0 and 0 before the first event. The newest is
    always kept, so that an id that is too old can be told from one that is up to date."""
    oldest, newest = sa.func.min(event.c.id), sa.func.max(event.c.id)
    row = tx.execute(sa.select(oldest.label("oldest"), newest.label("newest"))).one()
    return row.oldest or 0, row.newest or 0
