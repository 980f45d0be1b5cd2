"""Every answer that a test gets at the newest version is as the service's document says it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import httpx
import jsonschema_rs
import msgspec

from cyclades.api.http.request import EXTRAS_HEADER
from cyclades.api.http.service import Route, Service


def checked(services: Iterable[Service]) -> Callable[[httpx.Response], Awaitable[None]]:
    """A hook for an HTTP client."""
    placed = list(services)

    async def check(response: httpx.Response) -> None:
        request = response.request
        route = _route(placed, request)
        if route is None or route.answer is None or response.status_code != route.status or request.method == "HEAD":
            return
        await response.aread()
        validator = jsonschema_rs.Draft202012Validator(dict(route.answer), validate_formats=True)
        problem = next(validator.iter_errors(response.json()), None)
        assert problem is None, f"{request.method} {route.path}: {problem} (in {response.text})"

    return check


def _route(services: list[Service], request: httpx.Request) -> Route | None:
    """The one that answers, if what it answers is the standard answer of the newest version."""
    for service in services:
        if request.url.path.startswith(f"{service.prefix}/") and EXTRAS_HEADER not in request.headers:
            version = None
            if service.versions is not None:
                asked = request.headers.get("OpenStack-API-Version")
                version = service.versions.chosen(asked, None)
                if version != service.versions.most:
                    return None
            ways = (request.method, None), (request.method, _action(request))
            for route in service.find(request.url.path.removeprefix(service.prefix))[0]:
                if (route.method, route.action) in ways and (version is None or route.has(version)):
                    return route
    return None


def _action(request: httpx.Request) -> str | None:
    try:
        body = msgspec.json.decode(request.content)
    except (msgspec.DecodeError, RecursionError, httpx.RequestNotRead):
        return None
    return next(iter(body), None) if isinstance(body, dict) else None
