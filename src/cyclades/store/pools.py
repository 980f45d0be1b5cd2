"""Pools, as engines last found them, and whether an operator lets them take new volumes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.model.errors import NotFound, WrongState
from cyclades.store.database import Tx
from cyclades.store.schema import now, pool

_CLOSED = sa.select(pool.c.disabled_reason).where(pool.c.name == sa.bindparam("name"), pool.c.enabled.is_(False))


def report(tx: Tx, name: str, *, engine: str, total: int, free: int, promised: int) -> None:
    """What an engine found just now; bytes."""
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(pool)
    found = {"engine": engine, "total": total, "free": free, "promised": promised, "seen_at": now()}
    tx.execute(insert.values(name=name, **found).on_conflict_do_update(index_elements=["name"], set_=found))


def every(tx: Tx, names: Iterable[str]) -> list[Row[Any]]:
    """Those of these names that an engine has looked at, by name."""
    return list(tx.execute(sa.select(pool).where(pool.c.name.in_(list(names))).order_by(pool.c.name)).all())


def change(tx: Tx, name: str, *, enabled: bool, disabled_reason: str | None) -> None:
    """Let a pool take new volumes, or no longer."""
    values = {"enabled": enabled, "disabled_reason": disabled_reason}
    if tx.execute(pool.update().where(pool.c.name == name).values(values)).rowcount != 1:
        raise NotFound("pool", name)


def require_open(tx: Tx, name: str) -> None:
    """`WrongState` for a new volume in a pool that an operator has disabled. What is in it already stays usable."""
    closed = tx.execute(_CLOSED, {"name": name}).first()
    if closed is not None:
        why = f" ({closed.disabled_reason})" if closed.disabled_reason else ""
        raise WrongState("pool-disabled", f"Pool {name} takes no new volumes: it is disabled{why}.", resource="pool")
