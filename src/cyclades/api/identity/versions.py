"""What versions there are, for clients that look before they speak."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.service import Answer
from cyclades.api.identity import shapes
from cyclades.api.identity.service import SERVICE


def _document(request: Request) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{request.base_url}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


@SERVICE.route("GET", "/", who="anyone", status=300, answer=shapes.VERSIONS)
async def every(request: Request) -> Answer:
    headers = {"Location": f"{request.base_url}/v3/"}
    return Answer(300, {"versions": {"values": [_document(request)]}}, headers)


async def _this(request: Request) -> dict[str, Any]:
    return {"version": _document(request)}


SERVICE.route("GET", "/v3", who="anyone", answer=shapes.VERSION)(_this)
SERVICE.route("GET", "/v3/", who="anyone", answer=shapes.VERSION)(_this)
