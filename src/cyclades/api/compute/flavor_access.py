"""Who may use a flavor that is not public: the projects that it names, and admins."""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import since
from cyclades.api.compute.schemas import closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.model.errors import Conflict, Invalid, NotFound
from cyclades.store import flavors, projects
from cyclades.store.database import Tx

_ACTION = "/flavors/{flavor_id}/action"
_TENANT: Schema = {"tenant": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9-]*$"}}


def _shown(tx: Tx, flavor_id: str) -> dict[str, Any]:
    rows = [{"flavor_id": flavor_id, "tenant_id": project_id} for project_id in flavors.projects_of(tx, flavor_id)]
    return {"flavor_access": rows}


@SERVICE.route("GET", "/flavors/{flavor_id}/os-flavor-access", who="admin")
async def every(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        row = flavors.get(tx, request.ids["flavor_id"], None)
        if row.is_public:
            raise NotFound("flavor-access-list", "of a public flavor")
        return _shown(tx, row.id)

    return await request.db.read(read)


def _project(tx: Tx, project_id: str) -> str:
    try:
        return str(projects.get(tx, project_id).id)
    except NotFound as missing:
        raise Invalid("flavor-access", f"Project ID {project_id} is not a valid project.", field="tenant") from missing


@SERVICE.route(
    "POST", _ACTION, who="admin", action="addTenantAccess", body=closed({"addTenantAccess": closed(_TENANT, "tenant")})
)
async def give(request: Request) -> dict[str, Any]:
    def change(tx: Tx) -> dict[str, Any]:
        row = flavors.get(tx, request.ids["flavor_id"], None)
        if row.is_public and request.version >= since.PUBLIC_FLAVOR_ACCESS_REFUSED:
            raise Conflict("flavor-public", "Can not add access to a public flavor.")
        flavors.give_access(tx, row.id, _project(tx, request.body["addTenantAccess"]["tenant"]))
        return _shown(tx, row.id)

    return await request.db.write(change)


@SERVICE.route(
    "POST",
    _ACTION,
    who="admin",
    action="removeTenantAccess",
    body=closed({"removeTenantAccess": closed(_TENANT, "tenant")}),
)
async def take(request: Request) -> dict[str, Any]:
    """Also from a project that is no more."""

    def change(tx: Tx) -> dict[str, Any]:
        row = flavors.get(tx, request.ids["flavor_id"], None)
        flavors.take_access(tx, row.id, request.body["removeTenantAccess"]["tenant"])
        return _shown(tx, row.id)

    return await request.db.write(change)
