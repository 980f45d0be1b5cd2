"""What is kept for a time only, forgotten in small batches, so that nobody waits for long behind one."""

from __future__ import annotations

import sqlalchemy as sa

from cyclades.store.database import Tx
from cyclades.store.schema import event, idempotency, message, now

_BATCH = 500  # rows of one transaction


def forget_some(tx: Tx, *, event_seconds: float) -> int:
    """One batch of each kind; returns how many rows went. Again until that is 0."""
    moment = now()
    old_events = sa.and_(
        event.c.created_at < moment - int(event_seconds * 1_000_000),
        # The newest stays, so that an id that is too old can be told from one that is up to date.
        event.c.id < sa.select(sa.func.max(event.c.id)).scalar_subquery(),
    )
    return (
        _forget(tx, event, event.c.id, old_events)
        + _forget(tx, message, message.c.id, message.c.expires_at <= moment)
        + _forget_answers(tx, moment)
    )


def _forget(tx: Tx, table: sa.Table, key: sa.Column[int] | sa.Column[str], which: sa.ColumnElement[bool]) -> int:
    some = sa.select(key).where(which).order_by(key).limit(_BATCH)
    return tx.execute(table.delete().where(key.in_(some))).rowcount


def _forget_answers(tx: Tx, moment: int) -> int:
    columns = list(idempotency.primary_key.columns)
    some = sa.select(*columns).where(idempotency.c.expires_at <= moment).limit(_BATCH)
    return tx.execute(idempotency.delete().where(sa.tuple_(*columns).in_(some))).rowcount
