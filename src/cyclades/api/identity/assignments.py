"""Roles given to users: in a project, in a domain, in the system."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.identity import access, schemas, shapes, views
from cyclades.api.identity.service import SERVICE
from cyclades.model.errors import NotFound
from cyclades.store import assignments, domains, projects, roles, users
from cyclades.store.assignments import SYSTEM, Target
from cyclades.store.database import Tx


def _check_target(tx: Tx, target: Target, target_id: str) -> None:
    if target == "project":
        projects.get(tx, target_id)
    elif target == "domain":
        domains.get(tx, target_id)


def _add_routes(target: Target, path: str) -> None:
    """`path` is the target's, with its id as `target_id` if it has one."""

    @SERVICE.route("GET", f"{path}/users/{{user_id}}/roles", who="token", answer=shapes.listed("roles", shapes.ROLE))
    async def every(request: Request) -> dict[str, Any]:
        access.admin(request)
        user_id, target_id = request.ids["user_id"], request.ids.get("target_id", SYSTEM)

        def read(tx: Tx) -> list[Row[Any]]:
            users.get(tx, user_id)
            _check_target(tx, target, target_id)
            return assignments.roles(tx, user_id, target, target_id)

        rows = await request.db.read(read)
        return views.listed(request, "roles", (views.role(request, row) for row in rows))

    @SERVICE.route("PUT", f"{path}/users/{{user_id}}/roles/{{role_id}}", who="token", status=204)
    async def give(request: Request) -> None:
        access.admin(request)
        user_id, target_id = request.ids["user_id"], request.ids.get("target_id", SYSTEM)
        await request.db.write(lambda tx: assignments.add(tx, user_id, target, target_id, request.ids["role_id"]))

    @SERVICE.route("GET", f"{path}/users/{{user_id}}/roles/{{role_id}}", who="token", status=204)
    async def check(request: Request) -> None:
        access.admin(request)
        user_id, target_id = request.ids["user_id"], request.ids.get("target_id", SYSTEM)

        def read(tx: Tx) -> None:
            role_id = roles.get(tx, request.ids["role_id"]).id
            if not assignments.has(tx, user_id, target, target_id, role_id):
                raise NotFound("role-assignment", role_id)

        await request.db.read(read)

    @SERVICE.route("DELETE", f"{path}/users/{{user_id}}/roles/{{role_id}}", who="token", status=204)
    async def take(request: Request) -> None:
        access.admin(request)
        user_id, target_id = request.ids["user_id"], request.ids.get("target_id", SYSTEM)
        await request.db.write(lambda tx: assignments.remove(tx, user_id, target, target_id, request.ids["role_id"]))
        await request.tokens.revocations.refresh()


_add_routes("project", "/v3/projects/{target_id}")
_add_routes("domain", "/v3/domains/{target_id}")
_add_routes("system", "/v3/system")


_QUERY = schemas.parameters(
    *(f"{kind}.id" for kind in ("user", "role", "group", "scope.project", "scope.domain")),
    "scope.system",
    "effective",
    "include_names",
    "include_subtree",
)


@SERVICE.route(
    "GET",
    "/v3/role_assignments",
    who="token",
    answer=shapes.listed("role_assignments", shapes.ASSIGNMENT),
    query=_QUERY,
)
async def role_assignments(request: Request) -> dict[str, Any]:
    """`effective` and `include_subtree` change nothing: there are no groups, and no projects in projects."""
    access.own(request, request.one("user.id"))
    wanted: dict[str, str] = {}
    for parameter, column in (("user.id", "user_id"), ("role.id", "role_id")):
        if (value := request.one(parameter)) is not None:
            wanted[column] = value
    for target in ("project", "domain"):
        if (value := request.one(f"scope.{target}.id")) is not None:
            wanted |= {"target_kind": target, "target_id": value}
    if request.one("scope.system") is not None:
        wanted["target_kind"] = "system"
    rows = [] if request.one("group.id") else await request.db.read(lambda tx: assignments.every(tx, **wanted))
    names = "include_names" in request.query and request.one("include_names") not in ("0", "false", "False")
    return views.listed(request, "role_assignments", (_view(request, row, names) for row in rows))


def _view(request: Request, row: Row[Any], names: bool) -> dict[str, Any]:
    role, user = {"id": row.role_id}, {"id": row.user_id}
    place: dict[str, Any] = {"id": row.target_id}
    if names:
        role |= {"name": row.role_name}
        user |= {"name": row.user_name, "domain": {"id": row.user_domain_id, "name": row.user_domain_name}}
        place |= {"name": row.target_name}
        if row.target_kind == "project":
            place |= {"domain": {"id": row.project_domain_id, "name": row.project_domain_name}}
    path = "system" if row.target_kind == "system" else f"{row.target_kind}s/{row.target_id}"
    link = f"{request.base_url}/v3/{path}/users/{row.user_id}/roles/{row.role_id}"
    scope = {"system": {"all": True}} if row.target_kind == "system" else {row.target_kind: place}
    return {"role": role, "user": user, "scope": scope, "links": {"assignment": link}}
