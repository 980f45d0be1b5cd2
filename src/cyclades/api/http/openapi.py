"""A service's OpenAPI 3.1 document, made from its table of routes as they are in its newest microversion.

OpenAPI knows one operation for a path and method. Actions, which share a path and differ in their bodies' one key, are
each a path of their own here: the key follows as a fragment (`/volumes/{volume_id}/action#os-extend`), which no client
sends.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from cyclades import __version__
from cyclades.api.http.schemas import Schema, shape
from cyclades.api.http.service import Route, Service
from cyclades.api.http.versions import Version

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
VERSION = "OpenStack-API-Version"
# Status codes of refusals.
_WORDS = {
    400: "The request is malformed, or breaks a rule; the message names the field.",
    401: "The token is missing, expired or revoked.",
    403: "The token's roles do not allow it.",
    404: "There is no such thing, or it is another project's.",
    406: "This version of the API is not offered.",
    409: "The state of something forbids it, or a name is taken.",
    410: "What is asked for is no longer kept.",
    412: "It has changed since it was read.",
    413: "Over quota, or the body is too large.",
    415: "The body's content type is not the one that is wanted.",
    416: "There is no such part.",
    429: "Asked too often.",
    503: "It cannot be answered now.",
}


@cache
def document(service: Service, public_url: str) -> Schema:
    """`public_url` is the cloud's."""
    version = service.versions.most if service.versions is not None else Version(0, 0)
    paths: dict[str, dict[str, Any]] = {}
    for route in service.routes:
        if route.has(version):
            paths.setdefault(_path(route), {})[route.method.lower()] = _operation(service, route, version)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Cyclades: {service.name}", "version": __version__},
        "servers": [{"url": public_url + service.prefix}],
        "paths": paths,
        "components": {
            "headers": _headers(service),
            "schemas": {str(code): _like(service.body_of(code, "")) for code in _WORDS},
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
        },
    }


def _path(route: Route) -> str:
    path = _PARAMETER.sub(r"{\1}", route.path)
    return path if route.action is None else f"{path}#{route.action}"


def _operation(service: Service, route: Route, version: Version) -> Schema:
    operation: Schema = {
        "operationId": f"{route.method.lower()} {_path(route)}",
        "tags": [service.name],
        "parameters": _parameters(service, route, version),
        "responses": _responses(service, route),
    }
    if route.who != "anyone":
        operation["security"] = [{"token": []}]
    if (schema := _body(route, version)) is not None:
        operation["requestBody"] = {"required": True, "content": {route.media: {"schema": schema}}}
    return operation


def _body(route: Route, version: Version) -> Schema | None:
    if route.streams:
        return {"type": "string", "format": "binary"}
    if route.body is not None:
        return dict(route.body(version) if callable(route.body) else route.body)
    # What stands beside an action's name is passed over, unless it has a schema.
    return shape({route.action: {}}) if route.action is not None else None


def _parameters(service: Service, route: Route, version: Version) -> list[Schema]:
    found: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 255}}
        for name in _PARAMETER.findall(route.path)
    ]
    found += [{"name": name, "in": "query", "schema": schema} for name, schema in route.query.items()]
    found += [{"name": name, "in": "header", "schema": schema} for name, schema in route.headers.items()]
    if service.versions is not None:
        # Who does not ask for the newest version gets the oldest, whose answers are others.
        newest = {"const": f"{service.versions.name} {version}"}
        found.append({"name": VERSION, "in": "header", "required": True, "schema": newest})
    if route.method == "POST" and route.who != "anyone":
        text = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        found.append({"name": "Idempotency-Key", "in": "header", "schema": text})
    return found


def _headers(service: Service) -> Schema:
    """Those of every answer."""
    found: Schema = {"X-OpenStack-Request-Id": {"required": True, "schema": {"type": "string", "pattern": "^req-"}}}
    if service.versions is not None:
        # Of a request that is refused before its version is read, it says the oldest.
        text = {"type": "string", "pattern": f"^{service.versions.name} [0-9]+[.][0-9]+$"}
        found[VERSION] = {"required": True, "schema": text}
    return found


def _responses(service: Service, route: Route) -> Schema:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _headers(service)}
    done = "Done." if route.status != 202 else "Accepted; an operation does the work."
    found: Schema = {str(route.status): {"description": done, "headers": headers}}
    if route.answer is not None:
        found[str(route.status)]["content"] = {"application/json": {"schema": route.answer}}
    for code in _others(service, route):
        found[str(code)] = {"description": _WORDS.get(code, "Done."), "headers": headers}
        if code in _WORDS:
            content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{code}"}}}
            found[str(code)]["content"] = content
    return found


def _others(service: Service, route: Route) -> list[int]:
    codes = {400, 404, 503, *route.also}
    if service.versions is not None:
        codes.add(406)
    if route.who != "anyone":
        codes |= {401, 403}
    if route.method != "GET":
        codes |= {409, 413, 415}
    return sorted(codes)


def _like(body: Any) -> Schema:
    """The schema of a refusal's body that has this form, with an empty text where the message is to stand."""
    if isinstance(body, dict):
        return shape({name: _like(value) for name, value in body.items()})
    return {"type": "string"} if body == "" else {"const": body}
