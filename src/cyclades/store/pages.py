"""Keyset pages: the next page begins after the marker's own values, so page 1,000 costs what page 1 costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import UnknownMarker
from cyclades.store.database import Tx


class Key(NamedTuple):
    """One sort key."""

    name: str
    descending: bool


class Page(NamedTuple):
    """What a client asked for. `keys` must end in a unique one (`id`)."""

    limit: int
    keys: Sequence[Key]
    marker: str | None = None
    offset: int = 0


class Rows(NamedTuple):
    """One page, and whether there are more rows after it."""

    rows: list[Row[Any]]
    more: bool


def fetch(
    tx: Tx, query: sa.Select[Any], table: sa.Table, page: Page, *, among: sa.ColumnElement[bool] | None = None
) -> Rows:
    """The page of `query` (over `table`, unsorted) that follows the marker, an id. `UnknownMarker` if the marker is not
    among the rows that `query` finds, or, if given, among those that `among` is true of: a row that was deleted or
    fits a filter no more since its page was read still marks the place where the next begins."""
    columns = [_sortable(table.c[key.name]) for key in page.keys]
    if page.marker is not None:
        rows = query.with_only_columns(*columns) if among is None else sa.select(*columns).where(among)
        place = tx.execute(rows.where(table.c.id == page.marker)).one_or_none()
        if place is None:
            raise UnknownMarker(page.marker)
        query = query.where(_after(columns, page.keys, list(place)))
    order = [column.desc() if key.descending else column.asc() for column, key in zip(columns, page.keys, strict=True)]
    found = tx.execute(query.order_by(*order).limit(page.limit + 1).offset(page.offset)).all()
    return Rows(list(found[: page.limit]), len(found) > page.limit)


def _sortable(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """NULL sorts apart in each database; as the least value it sorts alike in both."""
    if not column.nullable:
        return column
    # Written out, not bound, so that an index over the same expression serves.
    least = sa.literal_column("''" if isinstance(column.type, sa.String | sa.Text) else "-1", column.type)
    return sa.func.coalesce(column, least)


def _after(columns: list[sa.ColumnElement[Any]], keys: Sequence[Key], place: list[Any]) -> sa.ColumnElement[bool]:
    if len({key.descending for key in keys}) == 1:
        # One row comparison, which an index over the same columns answers.
        left, right = sa.tuple_(*columns), sa.tuple_(*(sa.literal(value) for value in place))
        beyond = left < right if keys[0].descending else left > right
        if isinstance(columns[0], sa.Column):
            return beyond
        # SQLite finds the place in an index over an expression only when that is compared by itself.
        return sa.and_(columns[0] <= place[0] if keys[0].descending else columns[0] >= place[0], beyond)
    alternatives = []
    for i, (column, key) in enumerate(zip(columns, keys, strict=True)):
        beyond = column < place[i] if key.descending else column > place[i]
        alternatives.append(sa.and_(*(c == v for c, v in zip(columns[:i], place[:i], strict=True)), beyond))
    return sa.or_(*alternatives)
