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

    routes: list[Route | Mount] = [Mount(service.prefix, app=service.asgi(shared)) for service in services]
    return Starlette(routes=[*routes, Route("/healthz", health)])
