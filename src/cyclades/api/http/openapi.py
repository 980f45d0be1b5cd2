"""A service's OpenAPI 3.1 document, made from its table of routes as they are in its newest microversion."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from cyclades import __version__
from cyclades.api.http.schemas import Schema
from cyclades.api.http.service import Route, Service
from cyclades.api.http.versions import Version

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_WORDS = {
    400: "The request is malformed, or breaks a rule; the message names the field.",
    401: "The token is missing, expired or revoked.",
    403: "The token's roles do not allow it.",
    404: "There is no such thing, or it is another project's.",
    406: "This version of the API is not offered.",
    409: "The state of something forbids it, or a name is taken.",
    413: "Over quota, or the body is too large.",
    415: "The body's content type is not the one that is wanted.",
    429: "Asked too often.",
    503: "It cannot be answered now.",
}
_FAULT: Schema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": {
        "type": "object",
        "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "title": {"type": "string"}},
        "required": ["code", "message"],
        "additionalProperties": False,
    },
}


@cache
def document(service: Service, public_url: str) -> Schema:
    """`public_url` is the cloud's."""
    version = service.versions.most if service.versions is not None else Version(0, 0)
    paths: dict[str, dict[str, Any]] = {}
    for route in service.routes:
        if route.has(version):
            path = _PARAMETER.sub(r"{\1}", route.path)
            operations = paths.setdefault(path, {})
            _add(operations, service, route, version)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Cyclades: {service.name}", "version": __version__},
        "servers": [{"url": public_url + service.prefix}],
        "paths": paths,
        "components": {
            "schemas": {"Fault": _FAULT},
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
        },
    }


def _add(operations: dict[str, Any], service: Service, route: Route, version: Version) -> None:
    """Actions of one path are one operation, whose body is one of theirs."""
    method = route.method.lower()
    operation = operations.get(method)
    if operation is None:
        operation = operations[method] = {
            "operationId": f"{method} {route.path}",
            "tags": [service.name],
            "parameters": _parameters(service, route, version),
            "responses": {},
            **({"security": [{"token": []}]} if route.who != "anyone" else {}),
        }
    if route.body is not None:
        schema = route.body(version) if callable(route.body) else route.body
        content = operation.setdefault(
            "requestBody", {"required": True, "content": {"application/json": {"schema": {}}}}
        )
        known = content["content"]["application/json"]["schema"]
        if route.action is None:
            known.update(schema)
        else:
            known.setdefault("oneOf", []).append(schema)
    _answers(operation["responses"], route)


def _parameters(service: Service, route: Route, version: Version) -> list[Schema]:
    found: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 255}}
        for name in _PARAMETER.findall(route.path)
    ]
    found += [{"name": name, "in": "query", "schema": schema} for name, schema in route.query.items()]
    if service.versions is not None:
        value = f"{service.versions.name} {version}"
        found.append({"name": "OpenStack-API-Version", "in": "header", "schema": {"const": value}})
    if route.method == "POST" and route.action is None and route.who != "anyone":
        text = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        found.append({"name": "Idempotency-Key", "in": "header", "schema": text})
    return found


def _answers(responses: dict[str, Any], route: Route) -> None:
    success: Schema = {"description": "Done." if route.status != 202 else "Accepted; an operation does the work."}
    if route.answer is not None:
        success["content"] = {"application/json": {"schema": route.answer}}
    known = responses.get(str(route.status))
    if known is None:
        responses[str(route.status)] = success
    elif route.answer is not None and known.get("content") != success["content"]:
        # Two actions with answers of their own.
        known.setdefault("content", {"application/json": {"schema": {}}})["application/json"]["schema"] = {}
    for code in _codes(route):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}}
        responses.setdefault(str(code), {"description": _WORDS[code], "content": content})


def _codes(route: Route) -> list[int]:
    codes = {400, 404, 406, 413, 503}
    if route.who != "anyone":
        codes |= {401, 403}
    if route.method != "GET":
        codes |= {409, 415, 429}
    return sorted(codes)
