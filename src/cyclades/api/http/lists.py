"""Lists: what clients may ask of every one of them, and the link to the next page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.model.errors import Invalid
from cyclades.store.pages import Key, Page

_MOST_OFFSET = 2**31 - 1
_DIRECTIONS = {"asc": False, "desc": True}


def parameters(sortable: Iterable[str]) -> Schema:
    """Those of a query that `page` reads, for the service's document."""
    keys = sorted(sortable)
    sort = f"({'|'.join(keys)})(:(asc|desc))?"
    return {
        "limit": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        "marker": {"type": "string"},
        "offset": {"type": "integer", "minimum": 0, "maximum": _MOST_OFFSET},
        "sort": {"type": "string", "pattern": f"^({sort}(,{sort})*)?$"},
        "sort_key": {"enum": keys},
        "sort_dir": {"enum": ["asc", "desc"]},
    }


def page(request: Request, sortable: Collection[str] | Mapping[str, str], *, default: str = "created_at:desc") -> Page:
    """What `limit`, `marker`, `offset`, `sort` (or `sort_key` and `sort_dir`) ask for. `id` breaks ties. `sortable` are
    the keys, or the column of each."""
    keys = _keys(request, sortable, default)
    return plain(request)._replace(keys=keys, marker=request.one("marker") or None)


def plain(request: Request) -> Page:
    """What `limit` and `offset` ask for, of a list that does not take the rest (yet, in this version): newest first."""
    most = request.settings.api.page
    limit, offset = request.whole("limit"), request.whole("offset") or 0
    if offset > _MOST_OFFSET:
        raise Invalid("offset", f"offset must be at most {_MOST_OFFSET}.", field="offset")
    return Page(
        limit=most if limit is None else min(limit, most),
        keys=(Key("created_at", True), Key("id", True)),
        offset=offset,
    )


def _keys(request: Request, sortable: Collection[str] | Mapping[str, str], default: str) -> list[Key]:
    wanted = request.one("sort")
    if wanted is not None and ("sort_key" in request.query or "sort_dir" in request.query):
        raise Invalid("sort-twice", "Give either sort, or sort_key and sort_dir, not both.", field="sort")
    if wanted is None:
        names = ",".join(request.query.get("sort_key", []))
        ways = ",".join(request.query.get("sort_dir", []))
        if names:
            way = ways.split(",") if ways else []
            wanted = ",".join(
                f"{name}:{way[i] if i < len(way) else (way[-1] if way else 'desc')}"
                for i, name in enumerate(names.split(","))
            )
        elif ways:
            wanted = f"{default.split(':')[0]}:{ways.split(',')[0]}"
    keys: list[Key] = []
    for part in (wanted or default).split(","):
        name, _, direction = part.strip().partition(":")
        if name not in sortable:
            raise Invalid("sort-key", f"Sort key {name!r} is not one of {', '.join(sorted(sortable))}.", field="sort")
        if (direction or "desc") not in _DIRECTIONS:
            raise Invalid("sort-direction", f"Sort direction {direction!r} is not asc or desc.", field="sort")
        column = sortable[name] if isinstance(sortable, Mapping) else name
        if column not in (key.name for key in keys):
            keys.append(Key(column, _DIRECTIONS[direction or "desc"]))
    if not any(key.name == "id" for key in keys):
        keys.append(Key("id", keys[-1].descending))
    return keys


def next_link(request: Request, last_id: str) -> list[dict[str, str]]:
    """`…_links` of a list that goes on after the row `last_id`."""
    query: dict[str, Any] = {name: values for name, values in request.query.items() if name not in ("marker", "offset")}
    query["marker"] = last_id
    return [{"rel": "next", "href": f"{request.base_url}{request.path}?{urlencode(query, doseq=True)}"}]
