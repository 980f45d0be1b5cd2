"""The body of a PATCH: JSON Patch (RFC 6902) as Glance narrows it, in its two media types."""

from __future__ import annotations

import re
from typing import Any, Literal, cast

from cyclades.api.http import bodies
from cyclades.api.http.errors import HttpRefusal
from cyclades.api.http.schemas import Schema
from cyclades.api.http.versions import Version
from cyclades.api.image.attributes import CREATE, column_of, refuse_fixed
from cyclades.model.errors import Forbidden, Invalid
from cyclades.operations.image_update import Change

MEDIA = "application/openstack-images-v2.1-json-patch"  # {"op": "add", "path": "/name", "value": "…"}
_FORM_0 = "application/openstack-images-v2.0-json-patch"  # {"add": "/name", "value": "…"}
_OPS = ("add", "replace", "remove")
_BAD_ESCAPE = re.compile("~(?![01])")

_STEP: Schema = {"type": "object", "properties": {"op": {"enum": list(_OPS)}, "path": {"type": "string"}}}
BODY: Schema = {"type": "array", "items": _STEP, "maxItems": 1000}


def changes(content_type: str, body: list[dict[str, Any]]) -> list[Change]:
    """What the body asks for, in its order; each value has the form that its attribute needs."""
    media = content_type.partition(";")[0].strip().lower()
    if media not in (_FORM_0, MEDIA):
        raise HttpRefusal(415, f"Unsupported Content-Type {media!r}: send {MEDIA}.")
    return [_change(step, *(_form_1(step) if media == MEDIA else _form_0(step))) for step in body]


def _form_1(step: dict[str, Any]) -> tuple[Any, Any]:
    return step.get("op"), step.get("path")


def _form_0(step: dict[str, Any]) -> tuple[Any, Any]:
    ops = [op for op in _OPS if op in step]
    if len(ops) != 1:
        raise Invalid("patch-op", "Each operation must have exactly one of add, replace and remove.")
    return ops[0], step[ops[0]]


def _change(step: dict[str, Any], op: Any, path: Any) -> Change:
    if op not in _OPS:
        raise Invalid("patch-op", f"Operation {str(op)[:100]!r} is not one of {', '.join(_OPS)}.")
    name = _name(path)
    refuse_fixed([name])
    if name == "id":
        raise Forbidden("image-read-only", "Attribute 'id' is read-only.")
    column = column_of(name)
    if op == "remove":
        return Change("remove", name, column)
    if "value" not in step:
        raise Invalid("patch-value", f"Operation {op} on {path} needs a value.")
    bodies.validate(CREATE, Version(0, 0), {name: step["value"]})
    return Change(cast(Literal["add", "replace"], op), name, column, step["value"])


def _name(path: Any) -> str:
    """What a JSON pointer (RFC 6901) names; only what lies at the top can be changed."""
    if not isinstance(path, str) or not path.startswith("/") or _BAD_ESCAPE.search(path):
        raise Invalid("patch-path", f"Invalid JSON pointer: {str(path)[:300]!r}.")
    name = path[1:]
    if not name or "/" in name:
        raise Invalid("patch-path", f"Invalid JSON pointer for this resource: {path[:300]!r}.")
    return name.replace("~1", "/").replace("~0", "~")
