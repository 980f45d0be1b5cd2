"""Filters of lists: which each list takes, from which version on, and what becomes of one that it does not take.

Before a list's `strict` version what it does not take is passed over; from then on it is refused. An admin's unknown
filter finds nothing, whatever the version: Cinder looks for rows that have it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from cyclades.api.http import lists, times
from cyclades.api.http.request import Request, boolean
from cyclades.api.http.schemas import Schema
from cyclades.api.http.versions import Version
from cyclades.api.volume import since
from cyclades.api.volume.host_names import pool_of
from cyclades.model.errors import Invalid

Where = Callable[[Request, str], sa.ColumnElement[bool]]

_NO_TEXT = re.compile("[\\0\ud800-\udfff]")
# In every list's query, and no filters of it. Cinder's clients send `all_tenants` whoever they are.
_PAGES = frozenset({"limit", "marker", "offset", "sort", "sort_key", "sort_dir", "all_tenants"})


# What a filter's value may be, for the document.
TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
ITEMS: Schema = {"type": "string", "pattern": "^\\{.*\\}$"}
_DAY = "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_MOMENT = f"(gt|gte|eq|neq|lt|lte):{_DAY}(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])?"
MOMENTS: Schema = {"type": "string", "pattern": f"^{_MOMENT}(,{_MOMENT})*$"}


class Filter(NamedTuple):
    """`where` makes a condition of the filter's value, or refuses it; `value` says what that may be. With `admins` it
    is theirs alone, and not among the filters that `/resource_filters` tells of."""

    where: Where
    since: Version = since.BASE
    admins: bool = False
    value: Schema = TEXT


# Each list's filters, by Cinder's name of the resource.
TABLES: dict[str, Mapping[str, Filter]] = {}


def table(resource: str, filters: Mapping[str, Filter]) -> Mapping[str, Filter]:
    """A list's filters, told of in `/resource_filters`."""
    TABLES[resource] = filters
    return filters


def parameters(
    filters: Mapping[str, Filter], sortable: Collection[str] = (), *, projects: bool = True, counted: bool = False
) -> Schema:
    """All that a list's query may have, for the document: one that has pages is sortable, one that is of `projects` may
    be of all of them, a counted one says how many there are, if asked."""
    found: Schema = {name: one.value for name, one in filters.items()}
    if sortable:
        found |= lists.parameters(sortable)
    if projects:
        found["all_tenants"] = TRUTH
    if counted:
        found["with_count"] = TRUTH
    return found


def scope(request: Request) -> str | None:
    """Whose rows a list has: one project's, or, for admins who ask, everybody's."""
    everybodys = request.flag("all_tenants")
    return None if everybodys and request.caller.is_admin else request.caller.project_id


def narrowed(
    request: Request,
    found: sa.Select[Any],
    filters: Mapping[str, Filter],
    *,
    strict: Version = since.UNKNOWN_FILTERS_REFUSED,
    besides: Collection[str] = (),
) -> sa.Select[Any]:
    """The rows of a list that the request asks for. `besides`: what else the query may have."""
    admin, unknown = request.caller.is_admin, []
    for name in request.query:
        if name in _PAGES or name in besides or (name == "with_count" and request.version >= since.LIST_COUNT):
            continue
        wanted = filters.get(name)
        if wanted is not None and request.version >= wanted.since and (admin or not wanted.admins):
            found = found.where(wanted.where(request, request.one(name) or ""))
        elif not admin:
            unknown.append(name)
        elif wanted is None:
            found = found.where(sa.false())
    if unknown and request.version >= strict:
        text = f"Invalid filters {','.join(sorted(unknown))} are found in query options."
        raise Invalid("filter", text, field=min(unknown))
    return found


def equal(column: sa.ColumnElement[Any]) -> Where:
    return lambda _, text: column == text


def like(column: sa.ColumnElement[Any]) -> Where:
    """Anywhere in it, whatever the case."""
    return lambda _, text: column.icontains(text, autoescape=True)


def whole(column: sa.ColumnElement[int], name: str) -> Where:
    # A number may be larger than the column's: that finds nothing, and is no fault.
    return lambda request, _: column == sa.literal(request.whole(name), sa.BigInteger)


def truth(column: sa.ColumnElement[bool], name: str) -> Where:
    def where(_: Request, text: str) -> sa.ColumnElement[bool]:
        return column.is_(boolean(name, text))

    return where


def or_none(column: sa.ColumnElement[Any]) -> Where:
    """`None` finds those that have none."""
    return lambda _, text: column.is_(None) if text.lower() in ("none", "null", "") else column == text


def never(_: Request, text: str) -> sa.ColumnElement[bool]:
    """What no row of ours has: only `None` finds any."""
    return sa.true() if text.lower() in ("none", "null", "") else sa.false()


def in_pool(column: sa.ColumnElement[Any]) -> Where:
    """By the host that Cinder's clients know a pool as."""

    def where(_: Request, text: str) -> sa.ColumnElement[bool]:
        pool = pool_of(text)
        return sa.false() if pool is None else column == pool if pool else sa.true()

    return where


def items(column: sa.ColumnElement[Any], name: str) -> Where:
    """All of the given metadata."""

    def where(request: Request, text: str) -> sa.ColumnElement[bool]:
        return sa.and_(sa.true(), *(has_item(request, column, *item) for item in mapping(name, text).items()))

    return where


def has_item(request: Request, column: sa.ColumnElement[Any], key: str, value: str) -> sa.ColumnElement[bool]:
    """Whether a JSON column's object has this item, whatever characters the key has."""
    if request.db.is_sqlite:
        item = sa.func.json_each(column).table_valued("key", "value")
        return sa.exists(sa.select(sa.literal(1)).select_from(item).where(item.c.key == key, item.c.value == value))
    has: sa.ColumnElement[bool] = column[key].as_string() == value
    return has


def mapping(name: str, text: str) -> dict[str, str]:
    """A filter's value that is an object of strings: as JSON, or as Python writes a dict (cinderclient does)."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            value = None
    if not isinstance(value, dict) or not all(_is_text(part) for item in value.items() for part in item):
        raise Invalid("filter-object", f"The filter {name} must be an object of strings.", field=name)
    return value


def _is_text(value: object) -> bool:
    """That a database keeps: what is escaped in a filter was not seen when the query string was read."""
    return isinstance(value, str) and _NO_TEXT.search(value) is None


_COMPARE: dict[str, Callable[[Any, int], sa.ColumnElement[bool]]] = {
    "gt": lambda column, moment: column > moment,
    "gte": lambda column, moment: column >= moment,
    "eq": lambda column, moment: column == moment,
    "neq": lambda column, moment: column != moment,
    "lt": lambda column, moment: column < moment,
    "lte": lambda column, moment: column <= moment,
}


def moments(column: sa.ColumnElement[int], name: str) -> Where:
    """`<comparison>:<time>`, or several with commas, of which one must be true."""

    def where(_: Request, text: str) -> sa.ColumnElement[bool]:
        alternatives = []
        for part in text.split(","):
            comparison, _colon, moment = part.partition(":")
            if comparison not in _COMPARE:
                raise Invalid("filter-time", f"Invalid {comparison} operator", field=name)
            try:
                alternatives.append(_COMPARE[comparison](column, times.parse(moment)))
            except (ValueError, OverflowError) as error:
                raise Invalid("filter-time", f"Invalid {moment} value", field=name) from error
        return sa.or_(*alternatives)

    return where
