"""/default-types: the volume type that one project's volumes get which name none."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import NAME_NOT_EMPTY, UUID, body, shape
from cyclades.api.volume import shapes, since
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid, NotFound
from cyclades.store import default_types, projects, volume_types
from cyclades.store.database import Tx

_SINCE = str(since.DEFAULT_TYPES)
_PATH = "/default-types/{project_id}"
_TYPE = shape({"project_id": shapes.OWNER, "volume_type_id": UUID})
_ONE = shapes.one("default_type", _TYPE)


def _view(row: Row[Any]) -> dict[str, str]:
    return {"project_id": row.project_id, "volume_type_id": row.volume_type_id}


@SERVICE.route("GET", "/default-types", who="admin", since=_SINCE, answer=shapes.page("default_types", _TYPE))
async def every(request: Request) -> dict[str, Any]:
    return {"default_types": [_view(row) for row in await request.db.read(default_types.every)]}


@SERVICE.route("GET", _PATH, who="admin", since=_SINCE, answer=_ONE)
async def show(request: Request) -> dict[str, Any]:
    row = await request.db.read(lambda tx: default_types.get(tx, request.ids["project_id"]))
    return {"default_type": _view(row)}


_PUT = body("default_type", {"volume_type": NAME_NOT_EMPTY}, required=("volume_type",))


@SERVICE.route("PUT", _PATH, who="admin", since=_SINCE, body=_PUT, answer=_ONE)
async def put(request: Request) -> dict[str, Any]:
    """The project must be able to use the type."""

    def change(tx: Tx) -> Row[Any]:
        project_id = projects.get(tx, request.ids["project_id"]).id
        try:
            row = volume_types.find(tx, request.body["default_type"]["volume_type"], project_id)
        except NotFound as missing:
            raise Invalid("default-type", missing.message, field="volume_type") from missing
        default_types.put(tx, project_id, row.id)
        return default_types.get(tx, project_id)

    return {"default_type": _view(await request.db.write(change))}


@SERVICE.route("DELETE", _PATH, who="admin", since=_SINCE, status=204)
async def forget(request: Request) -> None:
    """Also of a project that is no more."""
    await request.db.write(lambda tx: default_types.forget(tx, request.ids["project_id"]))
