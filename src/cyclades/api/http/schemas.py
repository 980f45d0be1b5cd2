"""Pieces of JSON Schema that several services' bodies are made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cyclades.model.names import NAME_FORM, NAME_MOST

Schema = dict[str, Any]

NAME: Schema = {"type": "string", "maxLength": NAME_MOST, "pattern": NAME_FORM}
NAME_OR_NULL: Schema = {**NAME, "type": ["string", "null"]}
NAME_NOT_EMPTY: Schema = {
    **NAME,
    "minLength": 1,
    "pattern": "^[^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f][^\\x00-\\x1f\\x7f]*$",
}
TEXT_OR_NULL: Schema = {"type": ["string", "null"], "maxLength": 255}
UUID: Schema = {"type": "string", "format": "uuid"}
UUID_OR_NULL: Schema = {"type": ["string", "null"], "format": "uuid"}
# JSON's own, and the words that OpenStack's clients send for them.
BOOLEAN: Schema = {
    "type": ["boolean", "string"],
    "enum": [True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t",
             False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f"],
}  # fmt: skip
# A size or a count, also as digits in a string.
WHOLE: Schema = {"type": ["integer", "string"], "pattern": "^[0-9]{1,18}$", "minimum": 0, "maximum": 2**53}
METADATA: Schema = {
    "type": "object",
    "propertyNames": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^\\x00-\\x1f\\x7f]+$"},
    "additionalProperties": {"type": "string", "maxLength": 255},
}


def body(key: str, properties: Schema, *, required: tuple[str, ...] = (), closed: bool = True) -> Schema:
    """An object with the one key `key`, which holds an object of these properties."""
    inner = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": not closed,
    }
    return {"type": "object", "properties": {key: inner}, "required": [key], "additionalProperties": not closed}


def shape(properties: Schema, *, optional: Collection[str] = ()) -> Schema:
    """What is answered: an object of these properties and no others, all of them but for the optional ones."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def is_true(value: Any) -> bool:
    """What a `BOOLEAN` means."""
    return value is True or str(value).lower() in ("true", "1", "on", "yes", "y", "t")
