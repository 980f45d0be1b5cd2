"""What versions there are, for clients that look before they speak."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.network import shapes
from cyclades.api.network.service import SERVICE

_RESOURCES = ("network", "subnet", "port", "security-group", "floatingip", "router", "extension")


@SERVICE.route("GET", "/", who="anyone", answer=shapes.VERSIONS)
async def every(request: Request) -> dict[str, Any]:
    link = {"rel": "self", "href": f"{request.base_url}/v2.0/"}
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]}


@SERVICE.route("GET", "/v2.0", who="anyone", answer=shapes.RESOURCES)
@SERVICE.route("GET", "/v2.0/", who="anyone", answer=shapes.RESOURCES)
async def this(request: Request) -> dict[str, Any]:
    return {
        "resources": [
            {
                "name": name,
                "collection": f"{name}s",
                "links": [{"rel": "self", "href": f"{request.base_url}/v2.0/{name}s"}],
            }
            for name in _RESOURCES
        ]
    }
