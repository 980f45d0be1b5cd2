"""What Neutron's clients may ask of every list: equality filters, `fields`, sorting, pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.model.errors import Invalid

# Of a query, for the service's document: one thing's, and a list's.
FIELDS: Schema = {"fields": {"type": "string"}}
PARAMETERS: Schema = {
    **FIELDS,
    "limit": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    "marker": {"type": "string"},
    "sort_key": {"type": "string"},
    "sort_dir": {"enum": ["asc", "desc"]},
    **{name: {"type": "string"} for name in ("id", "name", "fixed_ips", "status")},
}

_PAGING = {"limit", "marker", "page_reverse", "sort_key", "sort_dir", "fields"}


def listed(request: Request, items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of `items`, which are few, the query string asks for."""
    found = [item for item in items if all(_fits(item, name, request.query[name]) for name in _asked(request))]
    for key, way in reversed(_sorting(request)):
        if found and key not in found[0]:
            raise Invalid("sort-key", f"[{key!r}] is invalid attribute for sort_keys.", field="sort_key")
        found.sort(key=lambda item: str(item[key]), reverse=way == "desc")
    if (marker := request.one("marker")) is not None:
        places = [i for i, item in enumerate(found) if item["id"] == marker]
        if not places:
            raise Invalid("marker", f"The marker {marker} is not in this list.", field="marker")
        found = found[places[0] + 1 :]
    limit = request.whole("limit")
    fields = set(request.query.get("fields", ()))
    return [only(item, fields) for item in found[: limit or None]]


def only(item: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name in fields} if fields else item


def _asked(request: Request) -> list[str]:
    return [name for name in request.query if name not in _PAGING]


def _fits(item: dict[str, Any], name: str, values: list[str]) -> bool:
    """As Neutron does: what it does not know it passes over."""
    if name == "fixed_ips":
        return any(_has_address(item, value) for value in values)
    if name not in item:
        return True
    own = item[name]
    text = str(own).lower() if isinstance(own, bool) else str(own)
    return text in [value.lower() if isinstance(own, bool) else value for value in values]


def _has_address(item: dict[str, Any], wanted: str) -> bool:
    """`ip_address=…` or `subnet_id=…`."""
    key, _, value = wanted.partition("=")
    return any(address.get(key) == value for address in item.get("fixed_ips", ()))


def _sorting(request: Request) -> list[tuple[str, str]]:
    keys, ways = request.query.get("sort_key", []), request.query.get("sort_dir", [])
    if any(way not in ("asc", "desc") for way in ways):
        raise Invalid("sort-direction", "sort_dir must be asc or desc.", field="sort_dir")
    return [(key, ways[i] if i < len(ways) else "asc") for i, key in enumerate(keys)]
