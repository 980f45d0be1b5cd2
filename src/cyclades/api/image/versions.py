"""What versions there are, for clients that look before they speak."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.image import shapes
from cyclades.api.image.service import SERVICE

# What Glance's minor versions added for users is here up to the last; import (2.6) and several stores (2.8) are not.
_NEWEST = "v2.9"
_OLDER = ("v2.7", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")


def _versions(request: Request) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"{request.base_url}/v2/"}]
    newest = {"id": _NEWEST, "status": "CURRENT", "links": links}
    return {"versions": [newest, *({"id": name, "status": "SUPPORTED", "links": links} for name in _OLDER)]}


@SERVICE.route("GET", "/", who="anyone", status=300, answer=shapes.VERSIONS)
async def root(request: Request) -> dict[str, Any]:
    return _versions(request)


@SERVICE.route("GET", "/versions", who="anyone", answer=shapes.VERSIONS)
async def versions(request: Request) -> dict[str, Any]:
    return _versions(request)
