"""/roles."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.identity import access, schemas, shapes, views
from cyclades.api.identity.service import SERVICE
from cyclades.model.names import identity_id
from cyclades.store import roles
from cyclades.store.database import Tx

_FIELDS = {
    "name": schemas.NAME,
    "domain_id": {"type": "null"},  # roles are the same in all domains
    "description": schemas.TEXT,
    "options": schemas.OPTIONS,
}
_COLUMNS = ("name", "description")
_CREATE = schemas.open_body("role", _FIELDS, required=("name",))
_UPDATE = schemas.open_body("role", _FIELDS)


@SERVICE.route(
    "GET",
    "/v3/roles",
    who="token",
    answer=shapes.listed("roles", shapes.ROLE),
    query=schemas.parameters("name", "domain_id"),
)
async def every(request: Request) -> dict[str, Any]:
    access.admin(request)
    wanted = schemas.filters(request, "name")
    rows = [] if request.one("domain_id") else await request.db.read(lambda tx: roles.every(tx, **wanted))
    return views.listed(request, "roles", (views.role(request, row) for row in rows))


@SERVICE.route("POST", "/v3/roles", who="token", status=201, body=_CREATE, answer=shapes.one("role", shapes.ROLE))
async def create(request: Request) -> dict[str, Any]:
    access.admin(request)
    asked, role_id = request.body["role"], identity_id()
    values = {**schemas.columns(asked, _COLUMNS), "extra": schemas.kept_fields(asked, _FIELDS)}

    def add(tx: Tx) -> dict[str, Any]:
        roles.add(tx, role_id, **values)
        return views.role(request, roles.get(tx, role_id))

    return {"role": await request.create(add)}


@SERVICE.route("GET", "/v3/roles/{role_id}", who="token", answer=shapes.one("role", shapes.ROLE))
async def show(request: Request) -> dict[str, Any]:
    access.admin(request)
    return {"role": views.role(request, await request.db.read(lambda tx: roles.get(tx, request.ids["role_id"])))}


@SERVICE.route("PATCH", "/v3/roles/{role_id}", who="token", body=_UPDATE, answer=shapes.one("role", shapes.ROLE))
async def update(request: Request) -> dict[str, Any]:
    access.admin(request)
    asked, role_id = request.body["role"], request.ids["role_id"]

    def change(tx: Tx) -> Row[Any]:
        kept = schemas.kept_fields(asked, _FIELDS, roles.get(tx, role_id).extra)
        roles.change(tx, role_id, extra=kept, **schemas.columns(asked, _COLUMNS))
        return roles.get(tx, role_id)

    return {"role": views.role(request, await request.db.write(change))}


@SERVICE.route("DELETE", "/v3/roles/{role_id}", who="token", status=204)
async def delete(request: Request) -> None:
    access.admin(request)
    await request.db.write(lambda tx: roles.remove(tx, request.ids["role_id"]))
    await request.tokens.revocations.refresh()
