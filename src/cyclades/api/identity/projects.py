"""/projects."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.identity import access, schemas, shapes, views
from cyclades.api.identity.domains import home
from cyclades.api.identity.service import SERVICE
from cyclades.model.errors import Invalid
from cyclades.model.names import identity_id
from cyclades.store import assignments, domains, projects
from cyclades.store.database import Tx

_FIELDS = {
    "name": schemas.SHORT_NAME,
    "domain_id": schemas.ID_OR_NULL,
    "parent_id": schemas.ID_OR_NULL,
    "is_domain": schemas.BOOLEAN,
    "description": schemas.TEXT,
    "enabled": schemas.BOOLEAN,
    "options": schemas.OPTIONS,
    "tags": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 255}, "maxItems": 80},
}
_FILTERS = ("name", "domain_id", "enabled")
_COLUMNS = ("name", "description", "enabled")
_KNOWN = [name for name in _FIELDS if name != "tags"]
_CREATE = schemas.open_body("project", _FIELDS, required=("name",))
_UPDATE = schemas.open_body("project", _FIELDS)


@SERVICE.route(
    "GET",
    "/v3/projects",
    who="token",
    answer=shapes.listed("projects", shapes.PROJECT),
    query=schemas.parameters(*_FILTERS, "parent_id", "is_domain"),
)
async def every(request: Request) -> dict[str, Any]:
    access.admin(request)
    wanted = schemas.filters(request, *_FILTERS)
    if (parent := request.one("parent_id")) is not None:  # a project's parent is its domain
        wanted["domain_id"] = parent
    rows = [] if request.flag("is_domain") else await request.db.read(lambda tx: projects.every(tx, **wanted))
    return views.listed(request, "projects", (views.project(request, row) for row in rows))


@SERVICE.route(
    "POST", "/v3/projects", who="token", status=201, body=_CREATE, answer=shapes.one("project", shapes.PROJECT)
)
async def create(request: Request) -> dict[str, Any]:
    access.admin(request)
    asked, project_id = request.body["project"], identity_id()
    values = {**schemas.columns(asked, _COLUMNS), "extra": schemas.kept_fields(asked, _KNOWN)}
    if asked.get("is_domain"):
        raise Invalid("project-domain", "A project that is a domain is made with POST /v3/domains.", field="is_domain")

    def add(tx: Tx) -> dict[str, Any]:
        domain_id = asked.get("domain_id") or asked.get("parent_id") or home(tx, request)
        if asked.get("parent_id") not in (None, domain_id):
            raise Invalid("project-parent", "Projects in projects are not offered.", field="parent_id")
        domains.get(tx, domain_id)
        projects.add(tx, project_id, domain_id=domain_id, **values)
        return views.project(request, projects.get(tx, project_id))

    return {"project": await request.create(add)}


@SERVICE.route("GET", "/v3/projects/{project_id}", who="token", answer=shapes.one("project", shapes.PROJECT))
async def show(request: Request) -> dict[str, Any]:
    claims, project_id = request.claims, request.ids["project_id"]
    assert claims is not None

    def read(tx: Tx) -> Row[Any]:
        if claims.project_id != project_id and not assignments.roles(tx, claims.user_id, "project", project_id):
            access.admin(request)
        return projects.get(tx, project_id)

    return {"project": views.project(request, await request.db.read(read))}


@SERVICE.route(
    "PATCH", "/v3/projects/{project_id}", who="token", body=_UPDATE, answer=shapes.one("project", shapes.PROJECT)
)
async def update(request: Request) -> dict[str, Any]:
    access.admin(request)
    asked, project_id = request.body["project"], request.ids["project_id"]

    def change(tx: Tx) -> Row[Any]:
        row = projects.get(tx, project_id)
        if any(asked.get(field, row.domain_id) != row.domain_id for field in ("domain_id", "parent_id")):
            raise Invalid("domain-fixed", "A project stays in its domain.", field="domain_id")
        kept = schemas.kept_fields(asked, _KNOWN, row.extra)
        projects.change(tx, project_id, extra=kept, **schemas.columns(asked, _COLUMNS))
        return projects.get(tx, project_id)

    row = await request.db.write(change)
    await request.tokens.revocations.refresh()
    return {"project": views.project(request, row)}


@SERVICE.route("DELETE", "/v3/projects/{project_id}", who="token", status=204)
async def delete(request: Request) -> None:
    access.admin(request)
    await request.db.write(lambda tx: projects.remove(tx, request.ids["project_id"]))
    await request.tokens.revocations.refresh()
