"""An Identity service over a new cloud: users admin and demo, projects admin and demo, and real tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from cyclades.api.app import application
from cyclades.api.http.service import Shared
from cyclades.api.identity import SERVICES
from cyclades.config import Settings, load
from cyclades.security import bootstrap
from cyclades.security.keys import Keys
from cyclades.security.logins import Logins
from cyclades.security.revocations import Revocations
from cyclades.security.tokens import Tokens
from cyclades.store.database import Database

URL = "http://cloud.test"
PASSWORDS = {"admin": "admin's secret", "demo": "demo's secret"}


@dataclass
class Cloud:
    """One process of a cloud. `http` speaks to it without a token."""

    db: Database
    settings: Settings
    shared: Shared
    http: httpx.AsyncClient
    known: dict[str, str] = field(default_factory=dict)

    async def login(self, name: str = "demo", *, project: str | None = None, scope: Any = None, **more: Any) -> Any:
        """The answer to a login by name and password."""
        user = {"name": name, "domain": {"id": "default"}, "password": PASSWORDS.get(name, "a password"), **more}
        if project is not None:
            scope = {"project": {"name": project, "domain": {"id": "default"}}}
        return await self.auth({"methods": ["password"], "password": {"user": user}}, scope)

    async def auth(self, identity: Any, scope: Any = None) -> httpx.Response:
        auth = {"identity": identity} if scope is None else {"identity": identity, "scope": scope}
        return await self.http.post("/identity/v3/auth/tokens", json={"auth": auth})

    async def token(self, name: str = "demo", *, project: str | None = None, scope: Any = None, **more: Any) -> str:
        answer = await self.login(name, project=project, scope=scope, **more)
        assert answer.status_code == 201, answer.text
        return str(answer.headers["x-subject-token"])

    async def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request of an admin's."""
        if "admin" not in self.known:
            self.known["admin"] = await self.token("admin", project="admin")
        return await self.ask(self.known["admin"], method, path, body)

    async def ask(self, token: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.http.request(
            method, f"/identity/v3{path}", headers={"X-Auth-Token": token, **headers}, json=body
        )

    async def id_of(self, kind: str, name: str) -> str:
        answer = await self.admin("GET", f"/{kind}?name={name}")
        return str(answer.json()[kind][0]["id"])

    async def works(self, token: str) -> bool:
        """Whether a token is good."""
        answer = await self.ask(token, "GET", "/auth/projects")
        assert answer.status_code in (200, 401)
        return answer.status_code == 200


Start = Callable[[], Awaitable[Cloud]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {}, data=str(tmp_path), identity__hash_memory=64, api__public_url=URL)


@pytest.fixture
async def start(database: Database, settings: Settings) -> AsyncIterator[Start]:
    """Starts one more process of the cloud (another set of objects on the same database and key files)."""
    started: list[Cloud] = []

    async def process() -> Cloud:
        revocations = Revocations(database)
        await revocations.refresh()
        logins = Logins(settings.identity)
        keys = Keys(settings.key_dir)
        tokens = Tokens(keys, revocations, seconds=settings.identity.token_seconds)
        hashes = {name: logins.passwords.hash_now(password) for name, password in PASSWORDS.items()}
        await database.write(lambda tx: bootstrap.make(tx, hashes))
        shared = Shared(database, settings, keys, tokens, logins)
        transport = httpx.ASGITransport(application(SERVICES, shared), raise_app_exceptions=False)
        started.append(Cloud(database, settings, shared, httpx.AsyncClient(transport=transport, base_url=URL)))
        return started[-1]

    yield process
    for cloud in started:
        await cloud.http.aclose()
        assert cloud.shared.logins is not None
        cloud.shared.logins.close()


@pytest.fixture
async def cloud(start: Start) -> Cloud:
    return await start()
