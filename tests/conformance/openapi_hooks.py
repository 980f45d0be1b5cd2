"""What schemathesis loads into its own process: before a request is sent, ids that are made up give way to real ones.

Not always, that what does not exist is asked for, too; never where something wrong is meant to be sent; and by the
request alone, so that it becomes the same each time.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, MutableMapping
from typing import Any

import schemathesis  # type: ignore[import-not-found]  # not in the environment of our own code
from schemathesis.core.parameters import ParameterLocation  # type: ignore[import-not-found]

_GIVEN: dict[str, Any] = json.loads(os.environ["CYCLADES_OPENAPI_THINGS"])
# See openapi_things.py.
_THINGS, _FED, _FED_ALONE = _GIVEN["things"], _GIVEN["fed"], _GIVEN["fed_alone"]
_KNOWN = [one for some in _THINGS.values() for one in some]  # which schemathesis finds in answers, too
_VERSION = "OpenStack-API-Version"
_ONCE = "Idempotency-Key"
_OF_MANY = 4  # requests, one keeps a value that it has


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
    for name, kind in {**_FED, **_FED_ALONE.get(label, {})}.items():
        place, *path = name.split(".")
        _feed(parts.get(place), path, _choice(f"{name} {request}", _THINGS.get(kind, ())))
    # A key that was used with another body is refused: as a rule, each request has its own.
    _feed(parts.get("header"), [_ONCE], _choice(f"{_ONCE} {request}", [f"{_number(request):x}"]))
    if "key" in (case.path_parameters or {}):
        _name_alike(case.path_parameters["key"], parts.get("body"))


def _choice(place: str, values: Any) -> Callable[[Any], Any]:
    """One of the values, or what is there."""
    number = _number(place)

    def choose(current: Any) -> Any:
        if not values or current is None or (number % _OF_MANY == 0 and current not in _KNOWN):
            return current
        return values[number // _OF_MANY % len(values)]

    return choose


def _number(text: str) -> int:
    return zlib.crc32(text.encode(errors="replace"))


def _feed(part: Any, path: list[str], choose: Callable[[Any], Any]) -> None:
    """Replace what is at `path`, if anything is."""
    for name in path[:-1]:
        part = part.get(name) if isinstance(part, dict) else None
    if isinstance(part, MutableMapping) and path[-1] in part:
        part[path[-1]] = choose(part[path[-1]])


def _name_alike(key: str, body: Any) -> None:
    """The one item of a body that sets it: its key stands in the path, too."""
    items = body.get("meta", body) if isinstance(body, dict) else None
    if isinstance(items, dict) and len(items) == 1:
        items[key] = items.pop(next(iter(items)))


schemathesis.hook(before_load_schema)
schemathesis.hook(before_call)
# A media type of JSON's that does not say so by its name.
schemathesis.serializer.alias("application/openstack-images-v2.1-json-patch", "application/json")
