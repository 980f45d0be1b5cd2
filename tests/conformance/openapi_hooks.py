"""What schemathesis loads into its own process: before a request is sent, ids that are made up give way to real ones.

Not always, that what does not exist is asked for, too; never where something wrong is meant to be sent; and by the
request alone, so that it becomes the same each time.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import MutableMapping
from typing import Any

import schemathesis  # type: ignore[import-not-found]  # not in the environment of our own code
from schemathesis.core.parameters import ParameterLocation  # type: ignore[import-not-found]

_GIVEN: dict[str, Any] = json.loads(os.environ["CYCLADES_OPENAPI_THINGS"])
# See openapi_things.py.
_THINGS, _FED, _FED_ALONE, _LEFT_OUT = (_GIVEN[name] for name in ("THINGS", "FED", "FED_ALONE", "LEFT_OUT"))
_KNOWN = [one for some in _THINGS.values() for one in some]  # which schemathesis finds in answers, too
_VERSION = "OpenStack-API-Version"
_ONCE = "Idempotency-Key"
_OF_MANY = 4  # requests, one is left as it is, in one place


def before_load_schema(_context: Any, document: Any) -> None:
    """The version is always the newest: of what the others answer, a document says nothing."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["parameters"] = [one for one in operation["parameters"] if one["name"] != _VERSION]


def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    label = case.operation.label
    parts = {"path": case.path_parameters, "query": case.query, "header": case.headers, "body": case.body}
    request = json.dumps([label, case.path_parameters, case.query, case.body], default=lambda _: None)
    for place in [*parts]:
        if case.meta is not None and case.meta.is_negative_at(ParameterLocation(place)):
            del parts[place]
    for name in _LEFT_OUT[""]:
        _leave_out(parts, name, f"{name} {request}")
    for name in _LEFT_OUT.get(label, ()):  # all of them, or none
        _leave_out(parts, name, request)
    for name, kind in {**_FED, **_FED_ALONE.get(label, {})}.items():
        _feed(parts, name, _THINGS.get(kind, ()), request, put_in=name in _FED_ALONE.get(label, ()))
    # A key that was used with another body is refused: as a rule, each request has its own.
    _feed(parts, f"header.{_ONCE}", [f"{_number(request):x}"], request)
    if "key" in (case.path_parameters or {}):
        _name_alike(case.path_parameters["key"], parts.get("body"))


def _leave_out(parts: dict[str, Any], name: str, chance: str) -> None:
    holder, last = _find(parts, name)
    if isinstance(holder, MutableMapping) and _number(f"without {chance}") % _OF_MANY:
        holder.pop(last, None)


def _feed(parts: dict[str, Any], name: str, values: Any, request: str, *, put_in: bool = False) -> None:
    """Put one of the values where something else is, or, to `put_in`, also where nothing is."""
    holder, last = _find(parts, name)
    if not values or not isinstance(holder, MutableMapping) or not (put_in or last in holder):
        return
    number, current = _number(f"{name} {request}"), holder.get(last, "")
    if current is not None and (number % _OF_MANY or current in _KNOWN):
        holder[last] = values[number // _OF_MANY % len(values)]


def _number(text: str) -> int:
    return zlib.crc32(text.encode(errors="replace"))


def _find(parts: dict[str, Any], name: str) -> tuple[Any, str]:
    """What holds that which has this name (`body.volume.size`), and the last part of the name."""
    *path, last = name.split(".")
    holder: Any = parts
    for part in path:
        holder = holder.get(part) if isinstance(holder, MutableMapping) else None
    return holder, last


def _name_alike(key: str, body: Any) -> None:
    """The one item of a body that sets it: its key stands in the path, too."""
    items = body.get("meta", body) if isinstance(body, dict) else None
    if isinstance(items, dict) and len(items) == 1:
        items[key] = items.pop(next(iter(items)))


schemathesis.hook(before_load_schema)
schemathesis.hook(before_call)
# A media type of JSON's that does not say so by its name.
schemathesis.serializer.alias("application/openstack-images-v2.1-json-patch", "application/json")
