"""A small body that a JSON Schema allows, for tests that go through the route table."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

# Tried in order where a schema wants a string.
_TEXTS = ("1", "k", "x", "SOFT", "raw", "accepted", "10.0.0.1", "::1", "MANUAL", "eHg=", "tag", "/dev/sdb", "available")


def example(schema: Any, ids: list[str], text: str | None = None) -> Any:
    """`ids` are tried where the schema wants a UUID; `text` where a string will do."""
    if schema in (True, {}):
        return text or "x"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return example(schema[several][0], ids, text)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return _object(schema, ids, text)
    if kind == "array":
        return [example(schema.get("items", {}), ids, text) for _ in range(max(1, schema.get("minItems", 1)))]
    if kind in ("integer", "number"):
        return max(1, int(schema.get("minimum", 1)))
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return _text(schema, ids, text)


def _object(schema: Any, ids: list[str], text: str | None) -> dict[str, Any]:
    properties = schema.get("properties", {})
    # Only what must be there: what may be is often wrong beside something else.
    wanted = list(schema.get("required", ())) or list(properties)[:1]
    found = {name: example(properties.get(name, {}), ids, text) for name in wanted}
    if not found and isinstance(schema.get("additionalProperties"), dict):
        found = {"k": example(schema["additionalProperties"], ids, text)}
    return found


def _text(schema: Any, ids: list[str], text: str | None) -> str:
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    for candidate in (*ids, text, *_TEXTS) if schema.get("format") == "uuid" else (text, *_TEXTS, *ids):
        if candidate is not None and validator.is_valid(candidate):
            return candidate
    raise ValueError(f"no example of {schema}")
