"""What is kept for a time only, forgotten in small batches, so that nobody waits for long behind one.

Volume types and flavors stay when they are deleted: they are few, and what was made of them names them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
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
    """The next batch of one kind."""
    found = tx.execute(due(kind, now() - int(kind.kept(settings) * 1_000_000), after)).all()
    last = tuple(found[-1]) if len(found) == BATCH else None
    gone = 0
    if found:
        for deletion in deletions(kind, [tuple(row)[1:] for row in found]):
            gone = tx.execute(deletion).rowcount
    return Batch(gone, last)


def due(kind: Kind, before: int, after: Place | None) -> sa.Select[Any]:
    """Age and key of rows that are old enough, after a place. What another process is forgetting is passed over."""
    order = (kind.age, *kind.key)
    found = sa.select(*order).where(kind.age <= before).order_by(*order).limit(BATCH)
    if after is not None:
        found = found.where(sa.tuple_(*order) > sa.tuple_(*after))
    return found.with_for_update(skip_locked=True)


def deletions(kind: Kind, keys: Sequence[Place]) -> list[sa.Delete]:
    """Of the rows' parts, then of those rows that nothing needs."""
    first, firsts = kind.key[0], [key[0] for key in keys]
    chosen: sa.ColumnElement[bool]
    if len(kind.key) == 1:
        chosen = first.in_(firsts)
    else:  # not `(a, b) IN …`: for that SQLite reads the whole table
        chosen = sa.or_(*(sa.and_(*map(operator.eq, kind.key, key)) for key in keys))
    stay: list[sa.ColumnElement[bool]] = [sa.exists().where(column == first) for column in kind.named_by]
    if kind.stays is not None:
        stay.append(kind.stays)
    parts = [part.table.delete().where(part.in_(firsts)) for part in kind.parts]
    return [*parts, kind.table.delete().where(chosen, *(~one for one in stay))]
