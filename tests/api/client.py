"""Speaks to services inside the test's own process, with tokens that say themselves what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
from tests.api.described import checked

from cyclades.api.app import application
from cyclades.api.http.service import Service, Shared
from cyclades.config import Settings
from cyclades.model.errors import Unauthorized
from cyclades.security.keys import Keys
from cyclades.security.tokens import Claims, Tokens
from cyclades.store.database import Database

URL = "http://cloud.test"


class PlainTokens(Tokens):
    """A token is `<user>:<project>:<role>,<role>`."""

    def __init__(self) -> None:
        pass

    def check(self, token: str) -> Claims:
        try:
            user_id, project_id, roles = token.split(":")
        except ValueError:
            raise Unauthorized("token", "Not a token.") from None
        return Claims(token, user_id, project_id or None, frozenset(roles.split(",")), issued_at=0, expires_at=2**62)


def token(project_id: str, *roles: str, user_id: str = "u" * 32) -> str:
    return f"{user_id}:{project_id}:{','.join(roles or ('member',))}"


def client(db: Database, settings: Settings, services: Iterable[Service], **headers: Any) -> httpx.AsyncClient:
    """An HTTP client of these services; its answers' unexpected errors are answers, too (500). What is answered at the
    newest version must be as it is described."""
    services = list(services)
    app = application(services, Shared(db, settings, Keys(settings.key_dir), PlainTokens()))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url=URL,
        headers=headers,
        event_hooks={"response": [checked(services)]},
    )
