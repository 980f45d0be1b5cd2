"""/auth: logins, and tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.api.http.service import Answer
from cyclades.api.http.times import micros
from cyclades.api.identity import access, schemas, scopes, shapes, views
from cyclades.api.identity.catalog import catalog
from cyclades.api.identity.scopes import Scope
from cyclades.api.identity.service import SERVICE
from cyclades.model.errors import Forbidden, Invalid, NotFound, Unauthorized
from cyclades.security.logins import Logins
from cyclades.security.tokens import Claims
from cyclades.store import application_credentials, assignments, projects, revocations, users
from cyclades.store.database import Tx

_USER: Schema = {
    **scopes.IN_DOMAIN,
    "properties": {**scopes.IN_DOMAIN["properties"], "password": schemas.PASSWORD},
    "required": ["password"],
}
_PASSWORD: Schema = {"type": "object", "properties": {"user": _USER}, "required": ["user"]}
_TOKEN: Schema = {
    "type": "object",
    "properties": {"id": {"type": "string", "minLength": 1, "maxLength": 4096}},
    "required": ["id"],
}
_CREDENTIAL: Schema = {
    "type": "object",
    "properties": {
        "id": schemas.ID,
        "name": schemas.NAME,
        "user": scopes.IN_DOMAIN,
        "secret": schemas.PASSWORD,
    },
    "required": ["secret"],
    "anyOf": [{"required": ["id"]}, {"required": ["name", "user"]}],
}
_IDENTITY: Schema = {
    "type": "object",
    "properties": {
        "methods": {
            "type": "array",
            "items": {"type": "string", "maxLength": 64},
            "minItems": 1,
            "maxItems": 4,
            "uniqueItems": True,
        },
        "password": _PASSWORD,
        "token": _TOKEN,
        "application_credential": _CREDENTIAL,
    },
    "required": ["methods"],
}
_AUTH: Schema = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {"identity": _IDENTITY, "scope": scopes.SCOPE},
            "required": ["identity"],
        }
    },
    "required": ["auth"],
    "writeOnly": True,
}


@dataclass(frozen=True)
class Proof:
    """Who a login method found to be asking; `parent` is the token that was shown, if one was, `credential` the
    application credential that was shown or is behind that token."""

    user: Row[Any]
    parent: Claims | None = None
    credential: Row[Any] | None = None


def logins(request: Request) -> Logins:
    assert request.logins is not None, "a process that serves Identity has Shared.logins"
    return request.logins


def _user(tx: Tx, given: dict[str, Any]) -> Row[Any]:
    if "id" in given:
        return users.get(tx, given["id"])
    return users.by_name(tx, given["name"], scopes.domain_id(tx, given["domain"]))


async def prove_password(request: Request, given: dict[str, Any], password: str) -> Row[Any]:
    """The user given by id, or by name and domain, if this is the password and the user may log in. Whatever is wrong,
    the answer and the time it takes are the same."""

    def find(tx: Tx) -> Row[Any] | None:
        try:
            return _user(tx, given)
        except NotFound:
            return None

    user = await request.db.read(find)
    name = user.id if user is not None else repr(given.get("id") or (given["domain"], given["name"]))
    stored = user.password_hash if user is not None else None
    right = await logins(request).check(name, request.peer, stored, password)
    if user is None or not right or not user.enabled or not user.domain_enabled:
        raise _unauthorized()
    return user


def _unauthorized() -> Unauthorized:
    return Unauthorized("login", "The request you have made requires authentication.")


async def _by_password(request: Request, given: dict[str, Any]) -> Proof:
    password = given["user"]["password"]
    user = await prove_password(request, given["user"], password)
    before = user.password_hash
    if logins(request).passwords.is_outdated(before):
        after = await logins(request).passwords.hash(password)
        await request.db.write(lambda tx: users.rehash(tx, user.id, before=before, after=after))
    return Proof(user)


async def _by_token(request: Request, given: dict[str, Any]) -> Proof:
    claims = request.tokens.check(given["id"])

    def find(tx: Tx) -> Proof:
        try:
            user = users.get(tx, claims.user_id)
        except NotFound as error:
            raise _unauthorized() from error
        if claims.credential_id is None:
            return Proof(user, claims)
        credential = application_credentials.find(tx, claims.credential_id)
        if credential is None:
            raise _unauthorized()
        return Proof(user, claims, credential)

    proof = await request.db.read(find)
    if not proof.user.enabled or not proof.user.domain_enabled:
        raise _unauthorized()
    return proof


async def _by_credential(request: Request, given: dict[str, Any]) -> Proof:
    """As with a password: whatever is wrong, the answer and the time it takes are the same."""

    def find(tx: Tx) -> tuple[Row[Any] | None, Row[Any] | None]:
        try:
            if "id" in given:
                credential = application_credentials.find(tx, given["id"])
                return credential, users.get(tx, credential.user_id) if credential is not None else None
            user = _user(tx, given["user"])
            found = application_credentials.of_user(tx, user.id, name=given["name"])
            return (found[0] if found else None), user
        except NotFound:
            return None, None

    credential, user = await request.db.read(find)
    name = credential.id if credential is not None else repr(given.get("id") or (given["user"], given["name"]))
    stored = credential.secret_hash if credential is not None else None
    right = await logins(request).check(name, request.peer, stored, given["secret"])
    if credential is None or user is None or not right or not user.enabled or not user.domain_enabled:
        raise _unauthorized()
    return Proof(user, credential=credential)


_QUERY = schemas.parameters("nocatalog")
_TOKEN = shapes.one("token", shapes.TOKEN)
_METHODS: dict[str, Callable[[Request, dict[str, Any]], Awaitable[Proof]]] = {
    "password": _by_password,
    "token": _by_token,
    "application_credential": _by_credential,
}


@SERVICE.route(
    "POST", "/v3/auth/tokens", who="anyone", status=201, body=_AUTH, also=(401, 403, 429), answer=_TOKEN, query=_QUERY
)
async def issue(request: Request) -> Answer:
    # All that the token is based on is read after this: what changes later has a newer revocation, which the token
    # will not escape. And a token shown for another one is checked against all that is revoked anywhere by now.
    await request.tokens.revocations.refresh()
    seen = request.tokens.revocations.seen
    auth = request.body["auth"]
    proofs = [await _proof(request, method, auth["identity"]) for method in auth["identity"]["methods"]]
    if len({proof.user.id for proof in proofs}) != 1:
        raise Unauthorized("login", "The methods do not agree on who is asking.")
    user, parent = proofs[0].user, next((proof.parent for proof in proofs if proof.parent), None)
    credential = next((proof.credential for proof in proofs if proof.credential is not None), None)
    methods = dict.fromkeys([*auth["identity"]["methods"], *(parent.methods if parent else ())])
    scope = await request.db.read(lambda tx: scopes.asked_for(tx, user, auth.get("scope"), credential))
    token, claims = request.tokens.issue(
        user.id,
        seen=seen,
        project_id=scope.project.id if scope.project else None,
        domain_id=scope.domain.id if scope.domain else None,
        system=scope.system,
        roles=scope.role_names,
        methods=tuple(methods),
        parent=parent,
        credential_id=credential.id if credential is not None else None,
        until=credential.expires_at if credential is not None else None,
    )
    headers = {"X-Subject-Token": token, "Vary": "X-Auth-Token"}
    return Answer(201, {"token": _view(request, claims, user, scope)}, headers)


async def _proof(request: Request, method: str, identity: dict[str, Any]) -> Proof:
    if method not in _METHODS:
        raise Unauthorized("login-method", "Attempted to authenticate with an unsupported method.")
    if method not in identity:
        raise Invalid("login-method", f"Expecting to find {method} in identity.", field=method)
    return await _METHODS[method](request, identity[method])


def _view(request: Request, claims: Claims, user: Row[Any], scope: Scope) -> dict[str, Any]:
    view: dict[str, Any] = {
        "methods": list(claims.methods),
        "user": {
            "id": user.id,
            "name": user.name,
            "domain": {"id": user.domain_id, "name": user.domain_name},
            "password_expires_at": None,
        },
        "audit_ids": [claims.id, claims.parent] if claims.parent else [claims.id],
        "issued_at": f"{micros(claims.issued_at)}Z",
        "expires_at": f"{micros(claims.expires_at)}Z",
    }
    if scope.project is not None:
        domain = {"id": scope.project.domain_id, "name": scope.project.domain_name}
        view["project"] = {"id": scope.project.id, "name": scope.project.name, "domain": domain}
        view["is_domain"] = False
    elif scope.domain is not None:
        view["domain"] = {"id": scope.domain.id, "name": scope.domain.name}
    elif scope.system:
        view["system"] = {"all": True}
    else:
        return view
    if scope.credential is not None:
        credential = scope.credential
        restricted = not credential.unrestricted
        view["application_credential"] = {"id": credential.id, "name": credential.name, "restricted": restricted}
    view["roles"] = [{"id": role.id, "name": role.name} for role in scope.roles]
    if "nocatalog" not in request.query:
        view["catalog"] = catalog(request.settings, claims.project_id)
    return view


def _subject(request: Request) -> tuple[str, Claims]:
    """The token that is asked about: one's own, or for admins any."""
    token = request.headers.get("x-subject-token")
    if not token:
        raise Invalid("subject-token", "The header X-Subject-Token is missing.")
    try:
        claims = request.tokens.check(token)
    except Unauthorized as error:
        raise NotFound("token", "in X-Subject-Token") from error
    access.own(request, claims.user_id)
    return token, claims


_SUBJECT: Schema = {"X-Subject-Token": {"type": "string"}}


@SERVICE.route("GET", "/v3/auth/tokens", who="token", headers=_SUBJECT, answer=_TOKEN, query=_QUERY)
async def show(request: Request) -> Answer:
    token, claims = _subject(request)

    def read(tx: Tx) -> tuple[Row[Any], Scope]:
        user = users.get(tx, claims.user_id)
        return user, scopes.of_token(tx, claims, user)

    user, scope = await request.db.read(read)
    headers = {"X-Subject-Token": token, "Vary": "X-Auth-Token"}
    return Answer(200, {"token": _view(request, claims, user, scope)}, headers)


@SERVICE.route("DELETE", "/v3/auth/tokens", who="token", status=204, headers=_SUBJECT)
async def revoke(request: Request) -> None:
    _, claims = _subject(request)
    await request.db.write(lambda tx: revocations.add(tx, "token", [claims.id], expires_at=claims.expires_at))
    await request.tokens.revocations.refresh()


@SERVICE.route("GET", "/v3/auth/projects", who="token", answer=shapes.listed("projects", shapes.PROJECT))
async def own_projects(request: Request) -> dict[str, Any]:
    user_id = _user_id(request)
    rows = await request.db.read(lambda tx: projects.of_user(tx, user_id, enabled=True))
    return views.listed(request, "projects", (views.project(request, row) for row in rows))


@SERVICE.route("GET", "/v3/auth/domains", who="token", answer=shapes.listed("domains", shapes.DOMAIN))
async def own_domains(request: Request) -> dict[str, Any]:
    user_id = _user_id(request)
    rows = await request.db.read(lambda tx: assignments.domains_of(tx, user_id))
    return views.listed(request, "domains", (views.domain(request, row) for row in rows if row.enabled))


@SERVICE.route("GET", "/v3/auth/system", who="token", answer=shapes.listed("system", shapes.SYSTEM))
async def own_system(request: Request) -> dict[str, Any]:
    user_id = _user_id(request)
    held = await request.db.read(lambda tx: assignments.roles(tx, user_id, "system", assignments.SYSTEM))
    return views.listed(request, "system", [{"all": True}] if held else [])


@SERVICE.route("GET", "/v3/auth/catalog", who="token", answer=shapes.listed("catalog", shapes.CATALOG))
async def own_catalog(request: Request) -> dict[str, Any]:
    claims = request.claims
    assert claims is not None
    if claims.target_id is None:
        raise Forbidden("token-scope", "Only a token for a project, a domain or the system has a catalog.")
    return views.listed(request, "catalog", catalog(request.settings, claims.project_id))


def _user_id(request: Request) -> str:
    assert request.claims is not None
    return request.claims.user_id
