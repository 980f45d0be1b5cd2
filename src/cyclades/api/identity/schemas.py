"""What the bodies of users, projects, domains and roles have in common."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import NAME_NOT_EMPTY, Schema, body
from cyclades.model.errors import Invalid
from cyclades.security.passwords import LONGEST

NAME: Schema = NAME_NOT_EMPTY
SHORT_NAME: Schema = {**NAME, "maxLength": 64}  # of projects and domains
ID: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
ID_OR_NULL: Schema = {"type": ["string", "null"], "maxLength": 64}
TEXT: Schema = {"type": ["string", "null"], "maxLength": 4096}
BOOLEAN: Schema = {"type": "boolean"}
OPTIONS: Schema = {"type": "object", "maxProperties": 0}  # there are none to choose from
PASSWORD: Schema = {"type": "string", "maxLength": LONGEST}
PASSWORD_OR_NULL: Schema = {"type": ["string", "null"], "maxLength": LONGEST}

_MOST_EXTRA = 16 * 1024  # bytes of JSON
_OURS = ("id", "links")


def open_body(key: str, properties: Schema, *, required: tuple[str, ...] = (), secret: bool = False) -> Schema:
    """Fields that it does not name are allowed, as Keystone does. `secret`: a password may be in it."""
    schema = body(key, properties, required=required, closed=False)
    return {**schema, "writeOnly": True} if secret else schema


def kept_fields(asked: dict[str, Any], known: Collection[str], before: dict[str, Any] | None = None) -> dict[str, Any]:
    """The fields that are only kept: those of before, and those asked for that are not `known`. Nothing that may hold
    a password is."""
    ours = {*known, *_OURS}
    kept = {name: value for name, value in asked.items() if name not in ours and "password" not in name}
    merged = {**(before or {}), **kept}
    if len(msgspec.json.encode(merged)) > _MOST_EXTRA:
        raise Invalid("extra", f"The fields that Keystone does not know may have {_MOST_EXTRA} bytes together.")
    return merged


def columns(asked: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The fields that are columns; a description of null is an empty one."""
    found = {name: asked[name] for name in names if name in asked}
    if found.get("description", "") is None:
        found["description"] = ""
    return found


def parameters(*names: str) -> Schema:
    """Of a query, for the service's document. Any text is taken: what is not there is not found."""
    return {name: {"type": "string"} for name in names}


def filters(request: Request, *names: str) -> dict[str, Any]:
    """What a list is narrowed to."""
    wanted: dict[str, Any] = {}
    for name in names:
        if (value := request.one(name)) is not None:
            wanted[name] = request.flag(name) if name == "enabled" else value
    return wanted
