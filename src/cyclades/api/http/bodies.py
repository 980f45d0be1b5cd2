"""JSON bodies: bounded, well-formed, and of the shape that the route's schema says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jsonschema_rs
import msgspec

from cyclades.api.http.versions import Version
from cyclades.model.errors import Invalid, TooLarge

Schema = Mapping[str, Any]
# A schema, or what gives it for a microversion.
Body = Schema | Callable[[Version], Schema]
Receive = Callable[[], Any]

_NUL = re.compile(rb"\\u0000", re.IGNORECASE)
_MAY_BE_DEEP = 64


async def read(receive: Receive, limit: int) -> bytes:
    """The whole body, or `TooLarge` as soon as it passes `limit` bytes."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("body-incomplete", "The connection ended before the request's body did.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge("body-size", f"The request's body is larger than {limit} bytes.")
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def decode(raw: bytes) -> Any:
    """JSON text as Python values. NUL characters are refused: no database keeps them. So is what is nested deeper than
    anything that we take: no validator follows it."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid("body-json", f"The request's body is not valid JSON: {error}") from error
    if _NUL.search(raw) or raw.count(b"[") + raw.count(b"{") > _MAY_BE_DEEP:
        _check(value, 0)
    return value


def _check(value: Any, depth: int) -> None:
    if depth > _MAY_BE_DEEP:
        raise Invalid("body-depth", "The request's body is nested too deeply.")
    if isinstance(value, str):
        if "\0" in value:
            raise Invalid("nul", "The request's body has a NUL character in a string.")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check(key, depth + 1)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)


def validate(body: Body, version: Version, value: Any) -> None:
    """Refuse `value` unless it fits, naming the field at fault."""
    problem = next(_validator(body, version).iter_errors(value), None) if callable(body) else _first(body, value)
    if problem is None:
        return
    field = ".".join(str(part) for part in problem.instance_path)
    where = f"Invalid input for field '{field}': " if field else "Invalid request body: "
    raise Invalid("body-schema", where + _shortened(problem.message), field=field or None)


def _first(schema: Schema, value: Any) -> Any:
    return next(_fixed_validator(_Key(schema)).iter_errors(value), None)


def _shortened(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:200]} … {text[-180:]}"


class _Key:
    """A schema as a key of a cache: by identity, since routes hold theirs for the process's life."""

    __slots__ = ("schema",)

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.schema is self.schema


@cache
def _fixed_validator(key: _Key) -> Any:
    # A body marked `writeOnly` holds a secret: what is said about it, and logged, must not repeat it.
    mask = "value" if key.schema.get("writeOnly") else None
    return jsonschema_rs.Draft202012Validator(dict(key.schema), validate_formats=True, mask=mask)


@cache
def _validator(body: Callable[[Version], Schema], version: Version) -> Any:
    return jsonschema_rs.Draft202012Validator(dict(body(version)), validate_formats=True)
