"""/users: who may log in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.identity import access, schemas, shapes, views
from cyclades.api.identity.auth import logins, prove_password
from cyclades.api.identity.domains import home
from cyclades.api.identity.service import SERVICE
from cyclades.model.errors import Invalid, Unauthorized
from cyclades.model.names import identity_id
from cyclades.store import domains, projects, users
from cyclades.store.database import Tx

_FIELDS = {
    "name": schemas.NAME,
    "domain_id": schemas.ID_OR_NULL,
    "default_project_id": schemas.ID_OR_NULL,
    "enabled": schemas.BOOLEAN,
    "password": schemas.PASSWORD_OR_NULL,
    "options": schemas.OPTIONS,
}
_FILTERS = ("name", "domain_id", "enabled")
_COLUMNS = ("name", "default_project_id", "enabled")
_CREATE = schemas.open_body("user", _FIELDS, required=("name",), secret=True)
_UPDATE = schemas.open_body("user", _FIELDS, secret=True)
_PASSWORD = schemas.open_body(
    "user",
    {"password": schemas.PASSWORD, "original_password": schemas.PASSWORD},
    required=("password", "original_password"),
    secret=True,
)


@SERVICE.route(
    "GET", "/v3/users", who="token", answer=shapes.listed("users", shapes.USER), query=schemas.parameters(*_FILTERS)
)
async def every(request: Request) -> dict[str, Any]:
    access.admin(request)
    wanted = schemas.filters(request, *_FILTERS)
    rows = await request.db.read(lambda tx: users.every(tx, **wanted))
    return views.listed(request, "users", (views.user(request, row) for row in rows))


@SERVICE.route("POST", "/v3/users", who="token", status=201, body=_CREATE, answer=shapes.one("user", shapes.USER))
async def create(request: Request) -> dict[str, Any]:
    access.admin(request)
    asked, user_id = request.body["user"], identity_id()
    values = {**schemas.columns(asked, _COLUMNS), "extra": schemas.kept_fields(asked, _FIELDS)}
    if asked.get("password") is not None:
        values["password_hash"] = await logins(request).passwords.hash(asked["password"])

    def add(tx: Tx) -> dict[str, Any]:
        domain_id = asked.get("domain_id") or home(tx, request)
        domains.get(tx, domain_id)
        users.add(tx, user_id, domain_id=domain_id, **values)
        return views.user(request, users.get(tx, user_id))

    return {"user": await request.create(add)}


@SERVICE.route("GET", "/v3/users/{user_id}", who="token", answer=shapes.one("user", shapes.USER))
async def show(request: Request) -> dict[str, Any]:
    access.own(request, request.ids["user_id"])
    return {"user": views.user(request, await request.db.read(lambda tx: users.get(tx, request.ids["user_id"])))}


@SERVICE.route("PATCH", "/v3/users/{user_id}", who="token", body=_UPDATE, answer=shapes.one("user", shapes.USER))
async def update(request: Request) -> dict[str, Any]:
    access.admin(request)
    asked, user_id = request.body["user"], request.ids["user_id"]
    values = schemas.columns(asked, _COLUMNS)
    if "password" in asked:
        password = asked["password"]
        values["password_hash"] = None if password is None else await logins(request).passwords.hash(password)

    def change(tx: Tx) -> Row[Any]:
        row = users.get(tx, user_id)
        if asked.get("domain_id", row.domain_id) != row.domain_id:
            raise Invalid("domain-fixed", "A user stays in its domain.", field="domain_id")
        users.change(tx, user_id, extra=schemas.kept_fields(asked, _FIELDS, row.extra), **values)
        return users.get(tx, user_id)

    row = await request.db.write(change)
    await request.tokens.revocations.refresh()
    return {"user": views.user(request, row)}


@SERVICE.route("DELETE", "/v3/users/{user_id}", who="token", status=204)
async def delete(request: Request) -> None:
    access.admin(request)
    await request.db.write(lambda tx: users.remove(tx, request.ids["user_id"]))
    await request.tokens.revocations.refresh()


@SERVICE.route("POST", "/v3/users/{user_id}/password", who="anyone", status=204, body=_PASSWORD, also=(401, 403, 429))
async def change_password(request: Request) -> None:
    """Who knows the password may change it: as at a login, no token is asked for."""
    asked, user_id = request.body["user"], request.ids["user_id"]
    row = await prove_password(request, {"id": user_id}, asked["original_password"])
    hashed = await logins(request).passwords.hash(asked["password"])
    done = await request.db.write(lambda tx: users.change_password(tx, user_id, before=row.password_hash, after=hashed))
    if not done:
        raise Unauthorized("password-changed", "The password was changed by another request.")
    await request.tokens.revocations.refresh()


@SERVICE.route(
    "GET",
    "/v3/users/{user_id}/projects",
    who="token",
    answer=shapes.listed("projects", shapes.PROJECT),
    query=schemas.parameters(*_FILTERS),
)
async def its_projects(request: Request) -> dict[str, Any]:
    access.own(request, request.ids["user_id"])
    wanted = schemas.filters(request, *_FILTERS)

    def read(tx: Tx) -> list[Row[Any]]:
        users.get(tx, request.ids["user_id"])
        return projects.of_user(tx, request.ids["user_id"], **wanted)

    rows = await request.db.read(read)
    return views.listed(request, "projects", (views.project(request, row) for row in rows))


@SERVICE.route("GET", "/v3/users/{user_id}/groups", who="token", answer=shapes.listed("groups", shapes.NO_GROUP))
async def its_groups(request: Request) -> dict[str, Any]:
    access.own(request, request.ids["user_id"])
    await request.db.read(lambda tx: users.get(tx, request.ids["user_id"]))
    return views.listed(request, "groups", ())


@SERVICE.route("GET", "/v3/groups", who="token", answer=shapes.listed("groups", shapes.NO_GROUP))
async def groups(request: Request) -> dict[str, Any]:
    """There are none: roles are given to users."""
    access.admin(request)
    return views.listed(request, "groups", ())
