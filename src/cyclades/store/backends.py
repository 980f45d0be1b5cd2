"""Backends, as engines last found them, and whether an operator lets them take new servers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.model.errors import NotFound
from cyclades.store.database import Tx
from cyclades.store.schema import backend, now, server


def report(tx: Tx, name: str, **found: Any) -> None:
    """What an engine found just now."""
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(backend)
    found = {**found, "seen_at": now()}
    tx.execute(insert.values(name=name, **found).on_conflict_do_update(index_elements=["name"], set_=found))


def report_problem(tx: Tx, name: str, *, kind: str, problem: str) -> None:
    """Why an engine could not look at it just now; what was found before stays."""
    expect(tx, name, kind=kind)
    tx.execute(backend.update().where(backend.c.name == name).values(problem=problem))


def expect(tx: Tx, name: str, *, kind: str) -> None:
    """There is such a backend, also if no engine has looked at it yet."""
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(backend)
    nothing = {"vcpus": 0, "memory": 0, "program": "", "version": 0, "enabled": True, "seen_at": 0}
    row = insert.values(name=name, kind=kind, **nothing)
    tx.execute(row.on_conflict_do_nothing(index_elements=["name"]))


def every(tx: Tx, names: Iterable[str]) -> list[Row[Any]]:
    """Those of these names that an engine has looked at, by name."""
    return list(tx.execute(sa.select(backend).where(backend.c.name.in_(list(names))).order_by(backend.c.name)).all())


def change(tx: Tx, name: str, *, enabled: bool, disabled_reason: str | None) -> None:
    """Let a backend take new servers, or no longer."""
    values = {"enabled": enabled, "disabled_reason": disabled_reason}
    if tx.execute(backend.update().where(backend.c.name == name).values(values)).rowcount != 1:
        raise NotFound("backend", name)


def accepted_since(tx: Tx, name: str, moment: int) -> int:
    """MiB of the backend's servers that were accepted after this moment."""
    wanted = sa.select(server.c.flavor).where(server.c.backend == name, server.c.deleted_at.is_(None))
    return sum(flavor["ram"] for flavor in tx.execute(wanted.where(server.c.created_at > moment)).scalars())


def servers_of(tx: Tx, name: str) -> list[Row[Any]]:
    """`id`, `name`, `power` and `flavor` of each server that a backend has."""
    wanted = sa.select(server.c.id, server.c.name, server.c.power, server.c.flavor)
    return list(tx.execute(wanted.where(server.c.backend == name, server.c.deleted_at.is_(None))).all())
