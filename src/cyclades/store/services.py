"""Our running processes, as they say themselves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.model.presence import is_up
from cyclades.store.database import Tx
from cyclades.store.schema import now, service

GONE = 24 * 3600 * 1_000_000  # µs after which a process that is not seen any more is forgotten


def seen(tx: Tx, service_id: str, *, host: str, kind: str, version: str) -> None:
    """The process is there, now. Forgets those that have long been gone."""
    moment = now()
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(service)
    row = insert.values(id=service_id, host=host, kind=kind, version=version, started_at=moment, seen_at=moment)
    tx.execute(row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": moment}))
    tx.execute(service.delete().where(service.c.seen_at < moment - GONE))


def forget(tx: Tx, service_id: str) -> None:
    """The process ends."""
    tx.execute(service.delete().where(service.c.id == service_id))


def is_there(tx: Tx, kind: str) -> bool:
    """Whether a process of this kind was seen not long ago."""
    return any(is_up(row.seen_at, now()) for row in every(tx, kind=kind))


def every(tx: Tx, *, kind: str | None = None) -> list[Row[Any]]:
    """Of a kind (None: all), the one seen last first."""
    wanted = sa.select(service) if kind is None else sa.select(service).where(service.c.kind == kind)
    return list(tx.execute(wanted.order_by(service.c.seen_at.desc(), service.c.id)).all())
