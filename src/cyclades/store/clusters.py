"""Ganeti clusters, as operators added them: each is the backend of its name."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import NotFound
from cyclades.store.database import Tx
from cyclades.store.schema import backend, cluster, now

CHANGED = "backends"  # the signal of it, for engines


def sealed_as(name: str) -> str:
    """The context that a cluster's password is sealed for."""
    return f"cluster/{name}"


def add(tx: Tx, name: str, **values: Any) -> None:
    tx.execute(cluster.insert(), {"name": name, "created_at": now(), **values})
    tx.signal(CHANGED)


def change(tx: Tx, name: str, **values: Any) -> None:
    tx.execute(cluster.update().where(cluster.c.name == name).values(updated_at=now(), **values))
    tx.signal(CHANGED)


def remove(tx: Tx, name: str) -> None:
    """With what engines found of it."""
    tx.execute(cluster.delete().where(cluster.c.name == name))
    tx.execute(backend.delete().where(backend.c.name == name))
    tx.signal(CHANGED)


def find(tx: Tx, name: str) -> Row[Any] | None:
    return tx.execute(sa.select(cluster).where(cluster.c.name == name)).one_or_none()


def get(tx: Tx, name: str) -> Row[Any]:
    row = find(tx, name)
    if row is None:
        raise NotFound("backend", name)
    return row


def hold(tx: Tx, name: str, *, shared: bool = False) -> Row[Any]:
    """`get`, and until the transaction ends nobody removes the cluster; nor, unless `shared`, gives it a server."""
    found = sa.select(cluster).where(cluster.c.name == name).with_for_update(read=shared)
    row = tx.execute(found).one_or_none()
    if row is None:
        raise NotFound("backend", name)
    return row


def every(tx: Tx) -> list[Row[Any]]:
    """By name."""
    return list(tx.execute(sa.select(cluster).order_by(cluster.c.name)).all())
