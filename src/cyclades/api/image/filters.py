"""What a list of images is narrowed to. A parameter that is not known is the name of a property."""

from __future__ import annotations

import csv
import operator
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from cyclades.api.http import lists, times
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.model.errors import Invalid
from cyclades.model.images import MEMBER_STATUSES, VISIBILITIES
from cyclades.store import images
from cyclades.store.database import Tx
from cyclades.store.schema import image

SORTABLE = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")

_NOT_FILTERS = {"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status"}
_EXACT = {"id", "name", "status", "container_format", "disk_format", "checksum", "os_hash_value"}
_NUMBERS = {"min_disk": image.c.min_disk, "min_ram": image.c.min_ram, "size": image.c.size}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le, "eq": operator.eq,
    "neq": operator.ne,
}  # fmt: skip
_SECOND = 1_000_000

_NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
# Those of a list's query that are named, for the service's document.
PARAMETERS: Schema = {
    **{name: schema for name, schema in lists.parameters(SORTABLE).items() if name in _NOT_FILTERS},
    "visibility": {"enum": [*VISIBILITIES, "all"]},
    "member_status": {"enum": [*MEMBER_STATUSES, "all"]},
    **{name: {"type": "string"} for name in (*sorted(_EXACT), "owner", "tag", "created_at", "updated_at")},
    **dict.fromkeys((*_NUMBERS, "size_min", "size_max"), _NUMBER),
    **{name: {"type": "boolean"} for name in ("protected", "os_hidden")},
}


def visibility(request: Request) -> str | None:
    value = request.one("visibility")
    if value is not None and value not in (*VISIBILITIES, "all"):
        raise Invalid("filter", f"Invalid visibility value: {value}.", field="visibility")
    return value


def _member_status(request: Request) -> str:
    """What the images of other projects that are shared with the caller's have there."""
    value = request.one("member_status") or "accepted"
    if value not in (*MEMBER_STATUSES, "all"):
        raise Invalid("filter", f"Invalid member_status value: {value}.", field="member_status")
    return value


def filtered(tx: Tx, request: Request) -> sa.Select[Any]:
    """The images that the caller may see and asks for."""
    found = images.query(request.caller, visibility(request), _member_status(request))
    for name, values in request.query.items():
        if name not in _NOT_FILTERS:
            for value in values if name == "tag" else values[-1:]:
                found = found.where(_condition(tx, name, value))
    return found if "os_hidden" in request.query else found.where(~image.c.hidden)


def _condition(tx: Tx, name: str, value: str) -> sa.ColumnElement[bool]:
    if name in _EXACT:
        return _one_of(image.c[name], value)
    if name in _NUMBERS:
        return _NUMBERS[name] == _whole(name, value)
    match name:
        case "owner":
            return image.c.project_id == value
        case "protected":
            return image.c.protected == _flag(name, value)
        case "os_hidden":
            return image.c.hidden == _flag(name, value)
        case "size_min":
            return image.c.size >= _whole(name, value)
        case "size_max":
            return image.c.size <= _whole(name, value)
        case "created_at" | "updated_at":
            return _compared(image.c[name], value)
        case "tag":
            return images.has_tag(tx, value)
    return images.has_property(tx, name, value)


def _one_of(column: sa.Column[Any], value: str) -> sa.ColumnElement[bool]:
    """`value`, or several as `in:one,"the, other"`."""
    if not value.startswith("in:"):
        return column == value
    try:
        rows = list(csv.reader([value[3:]], escapechar="\\", skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise Invalid("filter", f"The filter {column.name}={value[:100]} cannot be read: {error}.") from error
    return column.in_(rows[0] if rows else [])


def _compared(column: sa.Column[Any], value: str) -> sa.ColumnElement[bool]:
    """A time, or `gte:` and the like before it. Times are seconds on the wire: within one, all are equal."""
    compare, text = _COMPARE["eq"], value
    for name, function in _COMPARE.items():
        if value.startswith(f"{name}:"):
            compare, text = function, value[len(name) + 1 :]
    try:
        moment = times.parse(text)
    except (ValueError, OverflowError) as error:
        raise Invalid("filter", f"{column.name}: {text[:100]} is not a time (ISO 8601).", field=column.name) from error
    condition: sa.ColumnElement[bool] = compare(column - column % _SECOND, moment - moment % _SECOND)
    return condition


def _whole(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise Invalid("filter", f"Invalid value for {name}: {value[:100]} is not a whole number.", field=name)
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise Invalid("filter", f"Invalid value for {name}: {value[:100]} is not true or false.", field=name)
    return value.lower() == "true"
