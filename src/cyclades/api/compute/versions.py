"""What versions there are, for clients that look before they speak."""

from __future__ import annotations

from typing import Any

from cyclades.api.compute.service import ROOT, SERVICE, VERSIONS
from cyclades.api.http.request import Request


def _document(request: Request) -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": str(VERSIONS.most),
        "min_version": str(VERSIONS.least),
        "updated": "2026-11-23T00:00:00Z",
        "links": [{"rel": "self", "href": f"{request.settings.public_url}{SERVICE.prefix}/"}],
    }


@ROOT.route("GET", "/", who="anyone")
async def every(request: Request) -> dict[str, Any]:
    return {"versions": [_document(request)]}


@SERVICE.route("GET", "/", who="anyone")
async def this(request: Request) -> dict[str, Any]:
    media = {"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}
    return {"version": {**_document(request), "media-types": [media]}}


@SERVICE.route("GET", "/extensions", who="token")
async def extensions(request: Request) -> dict[str, Any]:
    return {"extensions": []}
