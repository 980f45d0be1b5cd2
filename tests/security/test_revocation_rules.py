"""Random histories of logins and changes: a token is good exactly as long as nothing it rests on has changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.databases import empty

from cyclades.model.errors import Unauthorized
from cyclades.security.keys import Keys
from cyclades.security.revocations import Revocations
from cyclades.security.tokens import Tokens
from cyclades.store import assignments, domains, projects, roles, users
from cyclades.store import revocations as rows
from cyclades.store.database import Database, Tx

USERS, PROJECTS, ROLE = ("ada", "bob"), ("p", "q"), "r"
_user, _project = st.sampled_from(USERS), st.sampled_from(PROJECTS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("login"), _user, st.one_of(st.none(), _project)),
        st.tuples(st.just("logout"), st.integers(0, 20)),
        st.tuples(st.just("password"), _user),
        st.tuples(st.just("disable user"), _user),
        st.tuples(st.just("disable project"), _project),
        st.tuples(st.just("take role"), _user, _project),
        st.tuples(st.just("look")),
    ),
    max_size=25,
)


@dataclass
class Issued:
    token: str
    claims: Any
    rests_on: dict[str, int]


class History:
    """The database, two processes, and a plain model: how often each thing that tokens rest on has changed."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self.database = database
        self.here, self.elsewhere = (Tokens(keys, Revocations(database), seconds=3600) for _ in range(2))
        self.issued: list[Issued] = []
        self.changes: dict[str, int] = {}

    def changed(self, name: str) -> None:
        self.changes[name] = self.changes.get(name, 0) + 1

    async def run(self, steps: list[Any]) -> None:
        await self.database.write(self._rows)
        for tokens in (self.here, self.elsewhere):
            await tokens.revocations.refresh()
        for step in steps:
            await self._step(*step)
            self._compare(self.here)
        await self.elsewhere.revocations.refresh()
        self._compare(self.elsewhere)

    async def _step(self, what: str, *args: Any) -> None:
        write = self.database.write
        if what == "login":
            self._login(*args)
        elif what == "logout" and self.issued:
            claims = self.issued[args[0] % len(self.issued)].claims
            await write(lambda tx: rows.add(tx, "token", [claims.id], expires_at=claims.expires_at))
            self.changed(claims.id)
        elif what == "password":
            await write(lambda tx: users.change(tx, args[0], password_hash="new"))
            self.changed(args[0])
        elif what == "disable user":
            await write(lambda tx: users.change(tx, args[0], enabled=False))
            self.changed(args[0])
        elif what == "disable project":
            await write(lambda tx: projects.change(tx, args[0], enabled=False))
            self.changed(args[0])
        elif what == "take role":
            await write(lambda tx: self._take_and_give(tx, *args))
            self.changed(f"{args[0]} in {args[1]}")
        elif what == "look":
            await self.elsewhere.revocations.refresh()
        await self.here.revocations.refresh()

    def _login(self, user_id: str, project_id: str | None) -> None:
        token, claims = self.here.issue(user_id, seen=self.here.revocations.seen, project_id=project_id)
        names = [user_id, claims.id, *([project_id, f"{user_id} in {project_id}"] if project_id else [])]
        self.issued.append(Issued(token, claims, {name: self.changes.get(name, 0) for name in names}))

    def _compare(self, tokens: Tokens) -> None:
        for issued in self.issued:
            good = all(self.changes.get(name, 0) == number for name, number in issued.rests_on.items())
            assert _is_good(tokens, issued.token) is good

    @staticmethod
    def _rows(tx: Tx) -> None:
        domains.add(tx, "d", name="d")
        roles.add(tx, ROLE, name="member")
        for name in PROJECTS:
            projects.add(tx, name, domain_id="d", name=name)
        for name in USERS:
            users.add(tx, name, domain_id="d", name=name)
            for project_id in PROJECTS:
                assignments.add(tx, name, "project", project_id, ROLE)

    @staticmethod
    def _take_and_give(tx: Tx, user_id: str, project_id: str) -> None:
        assignments.remove(tx, user_id, "project", project_id, ROLE)
        assignments.add(tx, user_id, "project", project_id, ROLE)


def _is_good(tokens: Tokens, token: str) -> bool:
    try:
        tokens.check(token)
    except Unauthorized:
        return False
    return True


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_tokens_end_exactly_when_they_should(database: Database, keys: Keys, steps: list[Any]) -> None:
    empty(database)
    asyncio.run(History(database, keys).run(steps))
