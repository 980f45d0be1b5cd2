"""All services of a process as one ASGI application, each under its prefix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cyclades.api.http.errors import fault_body, general_code
from cyclades.api.http.openapi import document
from cyclades.api.http.request import Request
from cyclades.api.http.service import Answer, Service, Shared
from cyclades.monitoring.readiness import Readiness

Application = Callable[..., Awaitable[None]]

_DOCUMENT = "/openapi.json"


def application(services: Sequence[Service], shared: Shared) -> Application:
    """The ASGI application that serves `services`, the OpenAPI document of each, `/healthz` and `/readyz`."""
    rest = _rest(services, Readiness(shared.db, shared.keys, shared.engine_lives)).asgi(shared)
    # A prefix may begin with another's (`/volume/v3`, `/volume`): the longer one is asked first.
    by_length = sorted(services, key=lambda service: -len(service.prefix))
    placed = [(service.prefix, service.asgi(shared)) for service in by_length]

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if not path.endswith(_DOCUMENT):
            for prefix, service in placed:
                if path.startswith(prefix) and path[len(prefix) :][:1] in ("", "/"):
                    await service({**scope, "root_path": prefix}, receive, send)
                    return
        await rest(scope, receive, send)

    return whole


def _rest(services: Sequence[Service], readiness: Readiness) -> Service:
    """What is of no service."""
    rest = Service("cyclades", "", versions=None, code_of=general_code, body_of=fault_body)

    @rest.route("GET", "/healthz", who="anyone")
    async def health(_request: Request) -> dict[str, str]:
        return {"status": "ok"}

    @rest.route("GET", "/readyz", who="anyone", also=(503,))
    async def ready(_request: Request) -> Answer:
        return Answer(*await readiness.answer())

    def add(service: Service) -> None:
        @rest.route("GET", service.prefix + _DOCUMENT, who="anyone")
        async def described(request: Request) -> Any:
            return document(service, request.settings.public_url)

    for service in services:
        add(service)
    return rest
