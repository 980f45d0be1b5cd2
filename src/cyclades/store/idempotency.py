"""Answers that are kept for the repeats of a request, in the transaction that the first one made."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.store.database import Tx
from cyclades.store.schema import idempotency, now

KEPT = 24 * 3600 * 1_000_000  # µs


class Name(NamedTuple):
    """What tells one request from all others: `key` is the client's."""

    project_id: str
    user_id: str
    path: str
    key: str


def _of(name: Name) -> sa.ColumnElement[bool]:
    return sa.and_(*(idempotency.c[column] == value for column, value in name._asdict().items()))


def begin(tx: Tx, name: Name) -> bytes | None:
    """None if this is the first such request: `keep` is to be called in the same transaction. Otherwise what was
    kept. Of two at once the second waits for the first to commit, or to have never been."""
    tx.execute(idempotency.delete().where(_of(name), idempotency.c.expires_at <= now()))
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(idempotency)
    new = insert.values(**name._asdict(), expires_at=now() + KEPT).on_conflict_do_nothing()
    if tx.execute(new.returning(idempotency.c.key)).first() is not None:
        return None
    kept: bytes = tx.execute(sa.select(idempotency.c.answer).where(_of(name))).scalar_one()
    return kept


def keep(tx: Tx, name: Name, answer: bytes) -> None:
    tx.execute(idempotency.update().where(_of(name)).values(answer=answer))
