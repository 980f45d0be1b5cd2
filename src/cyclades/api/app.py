"""All services of a process as one ASGI application, each under its prefix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from cyclades.api.http.service import Service, Shared

Application = Callable[..., Awaitable[None]]


def application(services: Sequence[Service], shared: Shared) -> Application:
    """The ASGI application that serves `services`."""

    async def health(_request: Any) -> Response:
        return JSONResponse({"status": "ok"})

    # A prefix may begin with another's (`/volume/v3`, `/volume`): the longer one is asked first.
    by_length = sorted(services, key=lambda service: -len(service.prefix))
    routes: list[Route | Mount] = [Mount(service.prefix, app=service.asgi(shared)) for service in by_length]
    starlette = Starlette(routes=[*routes, Route("/healthz", health)])
    prefixes = frozenset(service.prefix for service in services)

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        # A mount wants the slash that clients leave out of a service's root.
        if scope["type"] == "http" and scope["path"] in prefixes:
            scope = {**scope, "path": scope["path"] + "/"}
        await starlette(scope, receive, send)

    return whole
