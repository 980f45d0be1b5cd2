"""/domains: spaces of names for users and projects."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.identity import access, schemas, shapes, views
from cyclades.api.identity.service import SERVICE
from cyclades.model.names import identity_id
from cyclades.store import assignments, domains, projects, users
from cyclades.store.database import Tx

_FIELDS = {
    "name": schemas.SHORT_NAME,
    "description": schemas.TEXT,
    "enabled": schemas.BOOLEAN,
    "options": schemas.OPTIONS,
}
_COLUMNS = ("name", "description", "enabled")
_CREATE = schemas.open_body("domain", _FIELDS, required=("name",))
_UPDATE = schemas.open_body("domain", _FIELDS)


def home(tx: Tx, request: Request) -> str:
    """The domain of a token, in which an admin makes something without naming one."""
    claims = request.claims
    assert claims is not None
    if claims.domain_id is not None:
        return claims.domain_id
    return projects.get(tx, claims.project_id).domain_id if claims.project_id else domains.DEFAULT


@SERVICE.route(
    "GET",
    "/v3/domains",
    who="token",
    answer=shapes.listed("domains", shapes.DOMAIN),
    query=schemas.parameters("name", "enabled"),
)
async def every(request: Request) -> dict[str, Any]:
    access.admin(request)
    wanted = schemas.filters(request, "name", "enabled")
    rows = await request.db.read(lambda tx: domains.every(tx, **wanted))
    return views.listed(request, "domains", (views.domain(request, row) for row in rows))


@SERVICE.route("POST", "/v3/domains", who="token", status=201, body=_CREATE, answer=shapes.one("domain", shapes.DOMAIN))
async def create(request: Request) -> dict[str, Any]:
    access.admin(request)
    asked, domain_id = request.body["domain"], identity_id()
    values = {**schemas.columns(asked, _COLUMNS), "extra": schemas.kept_fields(asked, _FIELDS)}

    def add(tx: Tx) -> dict[str, Any]:
        domains.add(tx, domain_id, **values)
        return views.domain(request, domains.get(tx, domain_id))

    return {"domain": await request.create(add)}


@SERVICE.route("GET", "/v3/domains/{domain_id}", who="token", answer=shapes.one("domain", shapes.DOMAIN))
async def show(request: Request) -> dict[str, Any]:
    claims, domain_id = request.claims, request.ids["domain_id"]
    assert claims is not None

    def read(tx: Tx) -> Row[Any]:
        own = (home(tx, request), users.get(tx, claims.user_id).domain_id)
        if domain_id not in own and not assignments.roles(tx, claims.user_id, "domain", domain_id):
            access.admin(request)
        return domains.get(tx, domain_id)

    return {"domain": views.domain(request, await request.db.read(read))}


@SERVICE.route(
    "PATCH", "/v3/domains/{domain_id}", who="token", body=_UPDATE, answer=shapes.one("domain", shapes.DOMAIN)
)
async def update(request: Request) -> dict[str, Any]:
    access.admin(request)
    asked, domain_id = request.body["domain"], request.ids["domain_id"]

    def change(tx: Tx) -> Row[Any]:
        kept = schemas.kept_fields(asked, _FIELDS, domains.get(tx, domain_id).extra)
        domains.change(tx, domain_id, extra=kept, **schemas.columns(asked, _COLUMNS))
        return domains.get(tx, domain_id)

    row = await request.db.write(change)
    await request.tokens.revocations.refresh()
    return {"domain": views.domain(request, row)}


@SERVICE.route("DELETE", "/v3/domains/{domain_id}", who="token", status=204)
async def delete(request: Request) -> None:
    access.admin(request)
    await request.db.write(lambda tx: domains.remove(tx, request.ids["domain_id"]))
    await request.tokens.revocations.refresh()
