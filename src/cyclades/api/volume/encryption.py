"""/types/{type_id}/encryption: no type is encrypted, and there is no way to make one so."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import shape
from cyclades.api.volume.service import SERVICE
from cyclades.api.volume.types import get
from cyclades.model.errors import NotFound

_PATH = "/types/{type_id}/encryption"


@SERVICE.route("GET", _PATH, who="admin", answer=shape({}))
async def show(request: Request) -> dict[str, Any]:
    """What Cinder says of a type that is not encrypted."""
    await request.db.read(lambda tx: get(tx, request))
    return {}


@SERVICE.route("POST", _PATH, who="admin")
async def create(request: Request) -> None:
    """As a Cinder that has none."""
    raise NotFound("encryption", f"of volume type {request.ids['type_id']}")
