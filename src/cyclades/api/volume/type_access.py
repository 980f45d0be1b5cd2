"""Who may use a private volume type: the projects that it names, and admins."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import UUID, Schema, body, shape
from cyclades.api.volume import shapes
from cyclades.api.volume.service import SERVICE
from cyclades.api.volume.types import get
from cyclades.model.errors import NotFound
from cyclades.store import projects, volume_types
from cyclades.store.database import Tx

_PROJECT: Schema = {"project": {"type": "string", "minLength": 1, "maxLength": 255}}


_ACCESS = shapes.page("volume_type_access", shape({"volume_type_id": UUID, "project_id": shapes.OWNER}))


@SERVICE.route("GET", "/types/{type_id}/os-volume-type-access", who="admin", answer=_ACCESS)
async def every(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> list[dict[str, str]]:
        row = get(tx, request)
        if row.is_public:
            raise NotFound("volume-type-access", f"of the public volume type {row.id}")
        return [
            {"volume_type_id": row.id, "project_id": project_id} for project_id in volume_types.projects_of(tx, row.id)
        ]

    return {"volume_type_access": await request.db.read(read)}


@SERVICE.route(
    "POST",
    "/types/{type_id}/action",
    action="addProjectAccess",
    who="admin",
    status=202,
    body=body("addProjectAccess", _PROJECT, required=("project",)),
)
async def give(request: Request) -> None:
    def change(tx: Tx) -> None:
        project_id = projects.get(tx, request.body["addProjectAccess"]["project"]).id
        volume_types.give_access(tx, get(tx, request), project_id)

    await request.db.write(change)


@SERVICE.route(
    "POST",
    "/types/{type_id}/action",
    action="removeProjectAccess",
    who="admin",
    status=202,
    body=body("removeProjectAccess", _PROJECT, required=("project",)),
)
async def take(request: Request) -> None:
    project_id = request.body["removeProjectAccess"]["project"]
    await request.db.write(lambda tx: volume_types.take_access(tx, get(tx, request), project_id))
