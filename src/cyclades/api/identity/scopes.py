"""What a token may be for: a project, a domain, the system, or nothing (unscoped)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from cyclades.api.http.schemas import Schema
from cyclades.api.identity import schemas
from cyclades.model.errors import NotFound, Unauthorized
from cyclades.security.tokens import Claims
from cyclades.store import application_credentials, assignments, domains, projects
from cyclades.store.database import Tx
from cyclades.store.schema import now

# A thing by its id, or by its name and its domain's id or name.
DOMAIN: Schema = {
    "type": "object",
    "properties": {"id": schemas.ID, "name": schemas.NAME},
    "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
}
IN_DOMAIN: Schema = {
    "type": "object",
    "properties": {"id": schemas.ID, "name": schemas.NAME, "domain": DOMAIN},
    "anyOf": [{"required": ["id"]}, {"required": ["name", "domain"]}],
}
SCOPE: Schema = {
    "oneOf": [
        {"const": "unscoped"},
        {
            "type": "object",
            "properties": {
                "unscoped": {"type": "object"},
                "project": IN_DOMAIN,
                "domain": DOMAIN,
                "system": {"type": "object", "properties": {"all": {"const": True}}, "required": ["all"]},
            },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        },
    ]
}


@dataclass(frozen=True)
class Scope:
    """One of `project`, `domain` (rows) and `system`, or none of them; and the user's roles there, or those of them
    that the application credential behind it has."""

    roles: tuple[Row[Any], ...] = ()
    project: Row[Any] | None = None
    domain: Row[Any] | None = None
    system: bool = False
    credential: Row[Any] | None = None

    @property
    def role_names(self) -> frozenset[str]:
        return frozenset(role.name for role in self.roles)


def domain_id(tx: Tx, given: dict[str, Any]) -> str:
    """Of a domain that is given by id or name. `NotFound` for an unknown name."""
    ident: str = given["id"] if "id" in given else domains.by_name(tx, given["name"]).id
    return ident


def asked_for(tx: Tx, user: Row[Any], asked: Any, credential: Row[Any] | None = None) -> Scope:
    """The scope in a login's body; the user's default project when there is none. `Unauthorized` if the user has no
    role there, or there is no such place: both look the same. An application credential has a scope of its own."""
    try:
        if credential is not None:
            return _of_credential(tx, user, asked, credential)
        if asked is None:
            return _default(tx, user)
        if asked == "unscoped" or "unscoped" in asked:
            return Scope()
        if "project" in asked:
            return _project(tx, user, _project_row(tx, asked["project"]))
        if "domain" in asked:
            return _domain(tx, user, domains.get(tx, domain_id(tx, asked["domain"])))
        return _system(tx, user)
    except NotFound as error:
        raise _no_access(user) from error


def of_token(tx: Tx, claims: Claims, user: Row[Any]) -> Scope:
    """The scope that a token has. Raises `NotFound` if that is gone."""
    if claims.credential_id is not None:
        credential = application_credentials.find(tx, claims.credential_id)
        if credential is None:
            raise NotFound("application-credential", claims.credential_id)
        return _of_credential(tx, user, None, credential)
    if claims.project_id is not None:
        scope = Scope(project=projects.get(tx, claims.project_id))
        held = assignments.roles(tx, user.id, "project", claims.project_id)
    elif claims.domain_id is not None:
        scope = Scope(domain=domains.get(tx, claims.domain_id))
        held = assignments.roles(tx, user.id, "domain", claims.domain_id)
    elif claims.system:
        scope = Scope(system=True)
        held = assignments.roles(tx, user.id, "system", assignments.SYSTEM)
    else:
        return Scope()
    return Scope(tuple(held), scope.project, scope.domain, scope.system)


def _default(tx: Tx, user: Row[Any]) -> Scope:
    if user.default_project_id is None:
        return Scope()
    try:
        return _project(tx, user, projects.get(tx, user.default_project_id))
    except (NotFound, Unauthorized):
        return Scope()


def _project_row(tx: Tx, given: dict[str, Any]) -> Row[Any]:
    if "id" in given:
        return projects.get(tx, given["id"])
    return projects.by_name(tx, given["name"], domain_id(tx, given["domain"]))


def _project(tx: Tx, user: Row[Any], row: Row[Any]) -> Scope:
    held = assignments.roles(tx, user.id, "project", row.id)
    if not held or not row.enabled or not row.domain_enabled:
        raise _no_access(user)
    return Scope(tuple(held), project=row)


def _of_credential(tx: Tx, user: Row[Any], asked: Any, credential: Row[Any]) -> Scope:
    """It works as long as it has not expired and the user holds all its roles. Nothing but its own project may be
    asked for."""
    if credential.expires_at is not None and credential.expires_at <= now():
        raise _no_access(user)
    whole = _project(tx, user, projects.get(tx, credential.project_id))
    if asked is not None:
        given = asked.get("project") if isinstance(asked, dict) else None
        if given is None or _project_row(tx, given).id != credential.project_id:
            raise Unauthorized("scope", "Application credentials cannot request a scope.")
    held = tuple(role for role in whole.roles if role.id in credential.roles)
    if len(held) != len(credential.roles):
        raise _no_access(user)
    return Scope(held, project=whole.project, credential=credential)


def _domain(tx: Tx, user: Row[Any], row: Row[Any]) -> Scope:
    held = assignments.roles(tx, user.id, "domain", row.id)
    if not held or not row.enabled:
        raise _no_access(user)
    return Scope(tuple(held), domain=row)


def _system(tx: Tx, user: Row[Any]) -> Scope:
    held = assignments.roles(tx, user.id, "system", assignments.SYSTEM)
    if not held:
        raise _no_access(user)
    return Scope(tuple(held), system=True)


def _no_access(user: Row[Any]) -> Unauthorized:
    return Unauthorized("scope", f"User {user.id} has no access to what the token is to be for.")
