"""What versions there are, for clients that look before they speak."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import shape
from cyclades.api.volume import shapes
from cyclades.api.volume.service import ROOT, SERVICE, VERSIONS


def _document(request: Request) -> dict[str, Any]:
    return {
        "id": "v3.0",
        "status": "CURRENT",
        "version": str(VERSIONS.most),
        "min_version": str(VERSIONS.least),
        "updated": "2026-11-23T00:00:00Z",
        "links": [{"rel": "self", "href": f"{request.settings.public_url}{SERVICE.prefix}/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
    }


_VERSION = shape(
    {
        "id": shapes.TEXT,
        "status": {"const": "CURRENT"},
        "version": {"const": str(VERSIONS.most)},
        "min_version": {"const": str(VERSIONS.least)},
        "updated": shapes.TEXT,
        "links": shapes.each(shape({"rel": {"const": "self"}, "href": shapes.HREF})),
        "media-types": shapes.each(shape({"base": shapes.TEXT, "type": shapes.TEXT})),
    }
)
_VERSIONS = shapes.page("versions", _VERSION)


@ROOT.route("GET", "/", who="anyone", status=300, answer=_VERSIONS)
async def every(request: Request) -> dict[str, Any]:
    return {"versions": [_document(request)]}


@SERVICE.route("GET", "/", who="anyone", answer=_VERSIONS)
async def this(request: Request) -> dict[str, Any]:
    return {"versions": [_document(request)]}
