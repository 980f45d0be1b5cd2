"""What is kept for a time only, forgotten in small batches, so that nobody waits for long behind one.

Volume types and flavors stay when they are deleted: they are few, and what was made of them names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyclades.config import Settings
from cyclades.store import schema
from cyclades.store.database import Tx
from cyclades.store.schema import now

BATCH = 200  # rows that one transaction looks at

Place = tuple[Any, ...]  # of a row: its age and its key, the order of an index


@dataclass(frozen=True)
class Kind:
    """Rows of a table that go `kept` seconds after the moment in column `age`, the oldest first. One stays as long as
    another row has it in a column of `named_by`, or `stays` is true; rows that have it in one of `parts` go with it."""

    table: sa.Table
    age: sa.Column[int]
    kept: Callable[[Settings], float]
    named_by: tuple[sa.Column[Any], ...] = ()
    parts: tuple[sa.Column[Any], ...] = ()
    stays: sa.ColumnElement[bool] | None = None

    @property
    def key(self) -> tuple[sa.Column[Any], ...]:
        return tuple(self.table.primary_key.columns)


def _deleted(table: sa.Table, **more: Any) -> Kind:
    return Kind(table, table.c.deleted_at, lambda settings: settings.housekeeping.deleted_seconds, **more)


def _expired(table: sa.Table) -> Kind:
    return Kind(table, table.c.expires_at, lambda _: 0.0)


# The newest event stays, so that an id that is too old can be told from one that is up to date.
_NEWEST_EVENT = sa.select(sa.func.max(schema.event.c.id)).scalar_subquery()

# What names others comes before them.
KINDS = (
    _expired(schema.revocation),
    _expired(schema.idempotency),
    _expired(schema.message),
    Kind(
        schema.event,
        schema.event.c.created_at,
        lambda settings: settings.api.event_seconds,
        stays=schema.event.c.id == _NEWEST_EVENT,
    ),
    Kind(schema.operation, schema.operation.c.ended_at, lambda settings: settings.housekeeping.operation_seconds),
    _deleted(schema.transfer),
    _deleted(schema.attachment),
    _deleted(schema.snapshot),
    _deleted(
        schema.volume,
        named_by=(schema.attachment.c.volume_id, schema.snapshot.c.volume_id, schema.transfer.c.volume_id),
    ),
    _deleted(schema.server, named_by=(schema.attachment.c.server_id,)),
    _deleted(schema.image, parts=(schema.image_member.c.image_id, schema.image_upload.c.image_id)),
)


@dataclass(frozen=True)
class Batch:
    """What one transaction did: how many rows went, and where the next one begins (None: there is no more)."""

    gone: int
    last: Place | None


def forget(tx: Tx, settings: Settings, kind: Kind, after: Place | None = None) -> Batch:
    """The next batch of one kind. The rows do not pass through Python, where requests would wait for it."""
    before = now() - int(kind.kept(settings) * 1_000_000)
    row = tx.execute(last_of(kind, before, after)).first()
    last = None if row is None else tuple(row)
    gone = 0
    for deletion in deletions(kind, _between(kind, before, after, last)):
        gone = tx.execute(deletion).rowcount
    return Batch(gone, last)


def last_of(kind: Kind, before: int, after: Place | None) -> sa.Select[Any]:
    """The place of the last row of the batch after a place; nothing if there are fewer rows."""
    order = (kind.age, *kind.key)
    return sa.select(*order).where(_between(kind, before, after, None)).order_by(*order).limit(1).offset(BATCH - 1)


def deletions(kind: Kind, which: sa.ColumnElement[bool]) -> list[sa.Delete]:
    """Of the rows' parts, then of those rows that nothing needs."""
    first = kind.key[0]
    parts = [part.table.delete().where(part.in_(sa.select(first).where(which))) for part in kind.parts]
    stay: list[sa.ColumnElement[bool]] = [sa.exists().where(column == first) for column in kind.named_by]
    if kind.stays is not None:
        stay.append(kind.stays)
    return [*parts, kind.table.delete().where(which, *(~one for one in stay))]


def _between(kind: Kind, before: int, after: Place | None, last: Place | None) -> sa.ColumnElement[bool]:
    """Old enough, after one place and up to another."""
    place = sa.tuple_(kind.age, *kind.key)
    # SQLite looks up one lower and one upper bound in the index, and reads all that is between.
    bounds = [kind.age <= (before if last is None else last[0])]
    if after is not None:
        bounds.append(place > sa.tuple_(*after))
    if last is not None:
        bounds.append(place <= sa.tuple_(*last))
    return sa.and_(*bounds)
