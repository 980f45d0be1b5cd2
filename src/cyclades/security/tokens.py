"""Tokens: signed, so that they are checked without reading the database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claims:
    """What a token says. Times are µs since 1970 UTC; `roles` are names; `project_id` is None when unscoped."""

    id: str
    user_id: str
    project_id: str | None
    roles: frozenset[str]
    issued_at: int
    expires_at: int


class Tokens:
    """Signs tokens and checks them."""

    def check(self, token: str) -> Claims:
        """What the token says, or `Unauthorized` if it is forged, expired or revoked."""
        raise NotImplementedError
