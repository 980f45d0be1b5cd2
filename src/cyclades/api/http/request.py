"""What a handler is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from cyclades.api.http import times
from cyclades.api.http.once import once
from cyclades.api.http.versions import Version
from cyclades.config import Settings
from cyclades.model.caller import Caller
from cyclades.model.errors import Invalid
from cyclades.security.keys import Keys
from cyclades.security.logins import Logins
from cyclades.security.tokens import Claims, Tokens
from cyclades.store.database import Database, Tx

T = TypeVar("T")

# A request that carries this header, with any value, is shown what no standard answer has.
EXTRAS_HEADER = "x-cyclades-extras"

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


@dataclass
class Request:
    """One request, checked: its token, version, path and body. `body` is decoded JSON that fits the route's
    schema, `chunks` the raw body for routes that stream. `service` is the part of the app it came to."""

    db: Database
    settings: Settings
    keys: Keys
    tokens: Tokens
    logins: Logins | None
    service: Any
    version: Version
    method: str
    path: str
    ids: dict[str, str]
    query: dict[str, list[str]]
    headers: dict[str, str]
    request_id: str
    peer: str
    claims: Claims | None = None
    project_in_url: str | None = None
    body: Any = None
    chunks: AsyncIterator[bytes] | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)

    @cached_property
    def caller(self) -> Caller:
        """Who asks, in which project."""
        assert self.claims is not None
        assert self.claims.project_id is not None
        return Caller(self.claims.user_id, self.claims.project_id, self.claims.roles, self.request_id)

    @cached_property
    def base_url(self) -> str:
        """Of the service, as the client wrote it: `…/volume/v3`, with the project's id if the client put it there."""
        base: str = self.settings.public_url + self.service.prefix
        return f"{base}/{self.project_in_url}" if self.project_in_url else base

    @property
    def wants_extras(self) -> bool:
        return EXTRAS_HEADER in self.headers

    async def create(self, change: Callable[[Tx], T]) -> T:
        """`db.write` for a POST that makes something: `change` returns what the client is answered (JSON values), and
        a repeat with the same `Idempotency-Key` gets that again."""
        return await once(self, change)

    def one(self, name: str) -> str | None:
        """A query parameter; the last one if it is repeated."""
        values = self.query.get(name)
        return values[-1] if values else None

    def whole(self, name: str, *, least: int = 0) -> int | None:
        """A query parameter that is a whole number."""
        value = self.one(name)
        if value is None:
            return None
        if not value.isascii() or not value.isdigit() or len(value) > 18 or int(value) < least:
            raise Invalid("query-number", f"{name} must be a whole number, at least {least}.", field=name)
        return int(value)

    def time(self, name: str) -> int | None:
        """A query parameter that is a time (ISO 8601, UTC unless it says otherwise), as µs since 1970."""
        value = self.one(name)
        if value is None:
            return None
        try:
            return times.parse(value.replace(" ", "+"))  # a plus that was not escaped
        except (ValueError, OverflowError) as error:
            raise Invalid("query-time", f"{name}: {value[:50]!r} is not a time (ISO 8601).", field=name) from error

    def flag(self, name: str) -> bool:
        """A query parameter that is true or false: false unless it is there and says something."""
        return boolean(name, self.one(name) or "false")


def boolean(name: str, text: str) -> bool:
    """What the text of a query parameter means; 400 if that is neither, as in Cinder and Nova."""
    if text.lower() not in _TRUE | _FALSE:
        text = f"Invalid input received: {name}={text[:50]!r} is neither true nor false."
        raise Invalid("filter-boolean", text, field=name)
    return text.lower() in _TRUE
