"""What schemathesis loads into its own process: before a request is sent, ids that are made up give way to real ones.

Not always, that what does not exist is asked for, too; and by the request alone, so that it becomes the same each time.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from typing import Any

import schemathesis  # type: ignore[import-not-found]  # not in the environment of our own code

_GIVEN: dict[str, Any] = json.loads(os.environ["CYCLADES_OPENAPI_THINGS"])
# See openapi_things.py.
_THINGS, _FED, _FED_ALONE = _GIVEN["things"], _GIVEN["fed"], _GIVEN["fed_alone"]
_VERSION = "OpenStack-API-Version"
_OF_MANY = 4  # requests, one keeps a value that it has


def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    newest = _GIVEN["version"]
    if newest and not str(case.headers.get(_VERSION)).startswith(newest.split()[0]):
        # One gets the oldest version, of which the document says nothing.
        case.headers[_VERSION] = newest
    label = case.operation.label
    for name, kind in {**_FED, **_FED_ALONE.get(label, {})}.items():
        place, *path = name.split(".")
        parts = {"path": case.path_parameters, "query": case.query, "body": case.body}
        _feed(parts[place], path, _choice(f"{label} {name}", _THINGS.get(kind, ())))
    if "key" in (case.path_parameters or {}):
        _name_alike(case.path_parameters["key"], case.body)


def _choice(place: str, values: Any) -> Callable[[Any], Any]:
    """A value of the kind of the one that is there, or that one."""

    def choose(current: Any) -> Any:
        number = zlib.crc32(f"{place} {current!r}".encode(errors="replace"))
        if number % _OF_MANY == 0 or not values or type(current) is not type(values[0]):
            return current
        return values[number // _OF_MANY % len(values)]

    return choose


def _feed(part: Any, path: list[str], choose: Callable[[Any], Any]) -> None:
    """Replace what is at `path`, if anything is."""
    for name in path[:-1]:
        part = part.get(name) if isinstance(part, dict) else None
    if isinstance(part, dict) and path[-1] in part:
        part[path[-1]] = choose(part[path[-1]])


def _name_alike(key: str, body: Any) -> None:
    """The one item of a body that sets it: its key stands in the path, too."""
    items = body.get("meta", body) if isinstance(body, dict) else None
    if isinstance(items, dict) and len(items) == 1:
        items[key] = items.pop(next(iter(items)))


schemathesis.hook(before_call)
# A media type of JSON's that does not say so by its name.
schemathesis.serializer.alias("application/openstack-images-v2.1-json-patch", "application/json")
