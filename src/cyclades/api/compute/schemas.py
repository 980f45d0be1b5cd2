"""Pieces of JSON Schema of Nova's bodies. They are closed in every version."""

from __future__ import annotations

from cyclades.api.http.schemas import BOOLEAN, NAME_NOT_EMPTY, WHOLE, Schema

OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}
BASE64: Schema = {"type": "string", "maxLength": 65535, "pattern": "^[A-Za-z0-9+/\\s]*={0,2}\\s*$"}
DESCRIPTION: Schema = {
    "type": ["string", "null"],
    "maxLength": 255,
    "pattern": "^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f]*$",
}
HOSTNAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 63,
    "pattern": "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$",
}
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOSTNAME_WITH_DOMAIN: Schema = {
    "type": "string",
    "minLength": 2,
    "maxLength": 255,
    "pattern": f"^{_LABEL}(\\.{_LABEL})*$",
}
TAG: Schema = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/\\x00-\\x1f]*$"}
MOST_TAGS = 50  # of one server
TAGS: Schema = {"type": "array", "items": TAG, "maxItems": MOST_TAGS}
POSITIVE: Schema = {**WHOLE, "pattern": "^0*[1-9][0-9]{0,9}$", "minimum": 1, "maximum": 2**31 - 1}
NOT_NEGATIVE: Schema = {**WHOLE, "pattern": "^[0-9]{1,10}$", "maximum": 2**31 - 1}
DISK_CONFIG: Schema = {"enum": ["AUTO", "MANUAL"]}
IPV4: Schema = {"type": "string", "format": "ipv4"}
IPV6: Schema = {"type": "string", "format": "ipv6"}
METADATA: Schema = {
    "type": "object",
    "propertyNames": {"type": "string", "pattern": "^[a-zA-Z0-9-_:. ]{1,255}$"},
    "additionalProperties": {"type": "string", "maxLength": 255},
}
EXTRA_SPECS: Schema = {
    "type": "object",
    "propertyNames": {"type": "string", "pattern": "^[a-zA-Z0-9-_:. ]{1,255}$"},
    "additionalProperties": {"type": ["string", "number"], "maxLength": 255},
    "maxProperties": 128,
}

BOOLEAN_WORDS = frozenset(word.lower() for word in BOOLEAN["enum"] if isinstance(word, str))
BOOLEAN_OR_NULL: Schema = {"anyOf": [BOOLEAN, {"type": "null"}]}
NAME_OR_NULL: Schema = {"anyOf": [NAME_NOT_EMPTY, {"type": "null"}]}


def closed(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
