"""Tokens: signed, so that they are checked without reading the database."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass
from typing import Any

import jwt
import msgspec

from cyclades.model.errors import Unauthorized
from cyclades.model.roles import BUILT_IN
from cyclades.security.keys import Keys
from cyclades.security.revocations import Revocations
from cyclades.store.revocations import LONGEST_TOKEN

_LONGEST = 2048  # characters; ours have about 450
_MOST_REMEMBERED = 4096
_REMEMBERED = 5.0  # seconds
_ALGORITHM = "HS256"
_jws = jwt.PyJWS(algorithms=[_ALGORITHM])


@dataclass(frozen=True)
class Claims:
    """What a token says. Times are µs since 1970 UTC. It is for a project, for a domain, for the system, or for none
    of them; `roles` are the names of the built-in ones held there. `methods` are how the user logged in, `parent` the
    token that this one was made from, `credential_id` the application credential behind it. `seen` is the newest
    revocation that was known when it was issued: only newer ones can apply to it."""

    id: str
    user_id: str
    project_id: str | None
    roles: frozenset[str]
    issued_at: int
    expires_at: int
    domain_id: str | None = None
    system: bool = False
    methods: tuple[str, ...] = ("password",)
    parent: str | None = None
    credential_id: str | None = None
    seen: int = 0

    @property
    def target_id(self) -> str | None:
        """What the token is for, by id; the system is `all`."""
        return "all" if self.system else self.project_id or self.domain_id


class _Payload(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Claims on the wire, with short names: the token travels with each request."""

    jti: str
    sub: str
    at: int
    till: int
    seen: int
    prj: str | None = None
    dom: str | None = None
    sys: bool = False
    rol: tuple[str, ...] = ()
    mth: tuple[str, ...] = ("password",)
    par: str | None = None
    cred: str | None = None


class Tokens:
    """Signs tokens that live for `seconds`, and checks them."""

    def __init__(self, keys: Keys, revocations: Revocations, *, seconds: int) -> None:
        if not 0 < seconds <= LONGEST_TOKEN:
            raise ValueError(f"token_seconds must be from 1 to {LONGEST_TOKEN}: revocations are kept no longer")
        self.keys, self.revocations, self._seconds = keys, revocations, seconds
        self._remembered: dict[str, tuple[Claims, float]] = {}

    def issue(
        self,
        user_id: str,
        *,
        seen: int,
        project_id: str | None = None,
        domain_id: str | None = None,
        system: bool = False,
        roles: frozenset[str] = frozenset(),
        methods: tuple[str, ...] = ("password",),
        parent: Claims | None = None,
        credential_id: str | None = None,
        until: int | None = None,
    ) -> tuple[str, Claims]:
        """A new token. `seen` must have been `revocations.seen` before anything that the token is based on was
        read from the database. One made from another (`parent`) ends when that one does, and none lives longer than
        `until` (µs)."""
        now = time.time_ns() // 1000
        till = parent.expires_at if parent else now + self._seconds * 1_000_000
        payload = _Payload(
            jti=base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("="),
            sub=user_id,
            at=now,
            till=till if until is None else min(till, until),
            seen=seen,
            prj=project_id,
            dom=domain_id,
            sys=system,
            rol=tuple(name for name in BUILT_IN if name in roles),
            mth=methods,
            par=(parent.parent or parent.id) if parent else None,
            cred=credential_id,
        )
        key = self.keys.current("tokens")
        token = _jws.encode(msgspec.json.encode(payload), key.secret, _ALGORITHM, headers={"kid": key.id})
        return token, _claims(payload)

    def check(self, token: str) -> Claims:
        """What the token says, or `Unauthorized` if it is forged, expired or revoked. `Unavailable` if this process
        cannot know what is revoked."""
        claims, until = self._remembered.get(token, (None, 0.0))
        if claims is None or until < time.monotonic():
            claims = self._read(token)
            self._remember(token, claims)
        if claims.expires_at <= time.time_ns() // 1000:
            raise _refusal("expired")
        if self.revocations.applies_to(claims):
            raise _refusal("revoked")
        return claims

    def _read(self, token: str) -> Claims:
        if len(token) > _LONGEST or not token.isascii():
            raise _refusal("malformed")
        try:
            key = self.keys.find(str(jwt.get_unverified_header(token).get("kid")), "tokens")
            if key is None:
                raise _refusal("unknown-key")
            signed: dict[str, Any] = _jws.decode_complete(token, key.secret, [_ALGORITHM])
            return _claims(msgspec.json.decode(signed["payload"], type=_Payload))
        except (jwt.InvalidTokenError, msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _refusal("forged") from error

    def _remember(self, token: str, claims: Claims) -> None:
        self._remembered.pop(token, None)
        while len(self._remembered) >= _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[token] = (claims, time.monotonic() + _REMEMBERED)


def _refusal(why: str) -> Unauthorized:
    """Which reason it was is for the log; whoever sent the token learns only that it is no good."""
    return Unauthorized(f"token-{why}", "The request you have made requires authentication.")


def _claims(payload: _Payload) -> Claims:
    return Claims(
        id=payload.jti,
        user_id=payload.sub,
        project_id=payload.prj,
        roles=frozenset(payload.rol),
        issued_at=payload.at,
        expires_at=payload.till,
        domain_id=payload.dom,
        system=payload.sys,
        methods=payload.mth,
        parent=payload.par,
        credential_id=payload.cred,
        seen=payload.seen,
    )
