"""/users/{user_id}/application_credentials: secrets for programs, in place of their users' passwords."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Row

from cyclades.api.http import times
from cyclades.api.http.request import Request
from cyclades.api.identity import access, schemas, shapes, views
from cyclades.api.identity.auth import logins
from cyclades.api.identity.service import SERVICE
from cyclades.model.errors import Forbidden, Invalid
from cyclades.model.names import identity_id
from cyclades.security.tokens import Claims
from cyclades.store import application_credentials, assignments, roles
from cyclades.store.database import Tx
from cyclades.store.schema import now

_PATH = "/v3/users/{user_id}/application_credentials"
_ROLE = {
    "type": "object",
    "properties": {"id": schemas.ID, "name": schemas.NAME},
    "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
}
_FIELDS = {
    "name": schemas.NAME,
    "description": schemas.TEXT,
    "secret": {**schemas.PASSWORD_OR_NULL, "minLength": 1},
    "expires_at": {"type": ["string", "null"], "maxLength": 64},
    "roles": {"type": ["array", "null"], "items": _ROLE, "maxItems": 64},
    "unrestricted": {"type": ["boolean", "null"]},
    "access_rules": {"type": ["array", "null"], "maxItems": 0},  # what it may be used for cannot be limited by path
}
_CREATE = schemas.open_body("application_credential", _FIELDS, required=("name",), secret=True)


@SERVICE.route(
    "GET",
    _PATH,
    who="token",
    answer=shapes.listed("application_credentials", shapes.CREDENTIAL),
    query=schemas.parameters("name"),
)
async def every(request: Request) -> dict[str, Any]:
    user_id = request.ids["user_id"]
    access.own(request, user_id)
    wanted = schemas.filters(request, "name")

    def read(tx: Tx) -> dict[str, Any]:
        rows = application_credentials.of_user(tx, user_id, **wanted)
        return views.listed(request, "application_credentials", [_view(tx, request, row) for row in rows])

    return await request.db.read(read)


@SERVICE.route(
    "POST",
    _PATH,
    who="token",
    status=201,
    body=_CREATE,
    answer=shapes.one("application_credential", shapes.NEW_CREDENTIAL),
)
async def create(request: Request) -> dict[str, Any]:
    """For the project of the token, with roles that the user has there."""
    claims, asked = _self(request), request.body["application_credential"]
    project_id = claims.project_id
    if project_id is None:
        raise Invalid("application-credential-project", "An application credential is made with a project's token.")
    expires_at, secret, credential_id = _expiry(asked), asked.get("secret") or secrets.token_urlsafe(64), identity_id()
    secret_hash = await logins(request).passwords.hash(secret)

    def add(tx: Tx) -> dict[str, Any]:
        _unrestricted(tx, claims)
        application_credentials.add(
            tx,
            credential_id,
            user_id=claims.user_id,
            project_id=project_id,
            name=asked["name"],
            description=asked.get("description"),
            secret_hash=secret_hash,
            roles=_role_ids(tx, claims, project_id, asked.get("roles")),
            unrestricted=bool(asked.get("unrestricted")),
            expires_at=expires_at,
        )
        row = application_credentials.get(tx, claims.user_id, credential_id)
        return {"application_credential": {**_view(tx, request, row), "secret": secret}}

    return await request.create(add)


@SERVICE.route(
    "GET", f"{_PATH}/{{credential_id}}", who="token", answer=shapes.one("application_credential", shapes.CREDENTIAL)
)
async def show(request: Request) -> dict[str, Any]:
    access.own(request, request.ids["user_id"])

    def read(tx: Tx) -> dict[str, Any]:
        row = application_credentials.get(tx, request.ids["user_id"], request.ids["credential_id"])
        return {"application_credential": _view(tx, request, row)}

    return await request.db.read(read)


@SERVICE.route("DELETE", f"{_PATH}/{{credential_id}}", who="token", status=204)
async def delete(request: Request) -> None:
    access.own(request, request.ids["user_id"])

    def remove(tx: Tx) -> None:
        assert request.claims is not None
        _unrestricted(tx, request.claims)
        application_credentials.remove(tx, request.ids["user_id"], request.ids["credential_id"])

    await request.db.write(remove)
    await request.tokens.revocations.refresh()


def _self(request: Request) -> Claims:
    """Nobody makes one for another, not even an admin: who has it acts as its user."""
    assert request.claims is not None
    if request.claims.user_id != request.ids["user_id"]:
        raise Forbidden("application-credential-own", "Application credentials are made by their own users.")
    return request.claims


def _unrestricted(tx: Tx, claims: Claims) -> None:
    """A program's credential makes and deletes no others, unless it was made for that."""
    if claims.credential_id is None:
        return
    row = application_credentials.find(tx, claims.credential_id)
    if row is None or not row.unrestricted:
        raise Forbidden(
            "application-credential-restricted",
            "An application credential that is not unrestricted cannot manage application credentials.",
        )


def _expiry(asked: dict[str, Any]) -> int | None:
    text = asked.get("expires_at")
    if text is None:
        return None
    try:
        moment = times.parse(text)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            "application-credential-expiry", f"{text} is not a time (ISO 8601).", field="expires_at"
        ) from error
    if moment <= now():
        raise Invalid("application-credential-expiry", "It would have expired already.", field="expires_at")
    return moment


def _role_ids(tx: Tx, claims: Claims, project_id: str, asked: list[dict[str, str]] | None) -> list[str]:
    """Those asked for, all of them when none is; never more than the user, or the credential behind the token, has."""
    held = {role.id: role.name for role in assignments.roles(tx, claims.user_id, "project", project_id)}
    if claims.credential_id is not None and (row := application_credentials.find(tx, claims.credential_id)) is not None:
        held = {ident: name for ident, name in held.items() if ident in row.roles}
    if not asked:
        return list(held)
    chosen: list[str] = []
    for role in asked:
        found = [
            ident for ident, name in held.items() if role.get("id", ident) == ident and role.get("name", name) == name
        ]
        if not found:
            raise Invalid(
                "application-credential-roles",
                f"The user does not have the role {role.get('id') or role.get('name')} in this project.",
                field="roles",
            )
        chosen += found
    return list(dict.fromkeys(chosen))


def _view(tx: Tx, request: Request, row: Row[Any]) -> dict[str, Any]:
    names = {role.id: role.name for role in roles.every(tx)}
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "user_id": row.user_id,
        "project_id": row.project_id,
        "system": None,
        "roles": [{"id": ident, "name": names[ident], "domain_id": None} for ident in row.roles if ident in names],
        "expires_at": times.micros(row.expires_at),
        "unrestricted": row.unrestricted,
        "links": {"self": f"{request.base_url}/v3/users/{row.user_id}/application_credentials/{row.id}"},
    }
