"""What ends a token: at once in the process that did it, soon in the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.api.identity.conftest import PASSWORDS, Cloud, Start

from cyclades.security.revocations import Revocations

Deed = Callable[[Cloud, dict[str, str], str], Awaitable[Any]]


async def _logout(cloud: Cloud, ids: dict[str, str], token: str) -> Any:
    return await cloud.ask(token, "DELETE", "/auth/tokens", **{"X-Subject-Token": token})


async def _own_password(cloud: Cloud, ids: dict[str, str], token: str) -> Any:
    body = {"user": {"original_password": PASSWORDS["demo"], "password": "new"}}
    return await cloud.http.post(f"/identity/v3/users/{ids['user']}/password", json=body)


def _admin(method: str, path: str, body: Any = None) -> Deed:
    async def deed(cloud: Cloud, ids: dict[str, str], token: str) -> Any:
        return await cloud.admin(method, path.format(**ids), body)

    return deed


# What is done, and whether it ends demo's token for the project, and demo's unscoped one.
DEEDS: dict[str, tuple[Deed, bool, bool]] = {
    "logout": (_logout, True, False),
    "own password": (_own_password, True, True),
    "password reset": (_admin("PATCH", "/users/{user}", {"user": {"password": "new"}}), True, True),
    "user disabled": (_admin("PATCH", "/users/{user}", {"user": {"enabled": False}}), True, True),
    "user deleted": (_admin("DELETE", "/users/{user}"), True, True),
    "project disabled": (_admin("PATCH", "/projects/{project}", {"project": {"enabled": False}}), True, False),
    "project deleted": (_admin("DELETE", "/projects/{project}"), True, False),
    "role taken": (_admin("DELETE", "/projects/{project}/users/{user}/roles/{member}"), True, False),
    "other role deleted": (_admin("DELETE", "/roles/{auditor}"), True, False),
    "role taken elsewhere": (_admin("DELETE", "/system/users/{user}/roles/{auditor}"), False, False),
    "renamed": (_admin("PATCH", "/users/{user}", {"user": {"name": "other"}}), False, False),
}


async def _prepare(cloud: Cloud) -> dict[str, str]:
    ids = {
        "user": await cloud.id_of("users", "demo"),
        "project": await cloud.id_of("projects", "demo"),
        "member": await cloud.id_of("roles", "member"),
        "auditor": (await cloud.admin("POST", "/roles", {"role": {"name": "auditor"}})).json()["role"]["id"],
    }
    for place in (f"/projects/{ids['project']}", "/system"):
        await cloud.admin("PUT", f"{place}/users/{ids['user']}/roles/{ids['auditor']}")
    return ids


@pytest.mark.parametrize("name", DEEDS)
async def test_what_ends_tokens(start: Start, name: str) -> None:
    here, elsewhere = await start(), await start()
    deed, scoped_ends, unscoped_ends = DEEDS[name]
    ids = await _prepare(here)
    scoped, unscoped = await here.token("demo", project="demo"), await here.token("demo")
    other = await here.token("admin", project="admin")
    for process in (here, elsewhere):
        assert await process.works(scoped)
        assert await process.works(unscoped)
    answer = await deed(here, ids, scoped)
    assert answer.status_code in (200, 204), answer.text
    assert await here.works(scoped) is not scoped_ends
    assert await here.works(unscoped) is not unscoped_ends
    await elsewhere.shared.tokens.revocations.refresh()
    assert await elsewhere.works(scoped) is not scoped_ends
    assert await elsewhere.works(unscoped) is not unscoped_ends
    assert await elsewhere.works(other)
    new = await start()  # reads what was revoked before its time
    assert await new.works(scoped) is not scoped_ends


async def test_a_new_login_right_after_is_good(cloud: Cloud) -> None:
    """Not even the clock's resolution matters: many changes and logins in a row."""
    user = await cloud.id_of("users", "demo")
    for turn in range(5):
        password = f"password {turn}"
        await cloud.admin("PATCH", f"/users/{user}", {"user": {"password": password}})
        assert await cloud.works(await cloud.token("demo", project="demo", password=password))


async def test_role_given_again(cloud: Cloud) -> None:
    ids = await _prepare(cloud)
    path = f"/projects/{ids['project']}/users/{ids['user']}/roles/{ids['member']}"
    unscoped, before = await cloud.token("demo"), await cloud.token("demo", project="demo")
    await cloud.admin("DELETE", path)
    await cloud.admin("PUT", path)
    scope = {"project": {"id": ids["project"]}}
    after = await cloud.auth({"methods": ["token"], "token": {"id": unscoped}}, scope)
    assert await cloud.works(after.headers["x-subject-token"])
    assert not await cloud.works(before)


async def test_a_revoked_token_cannot_be_exchanged_where_that_is_not_known_yet(start: Start) -> None:
    here, elsewhere = await start(), await start()
    token = await here.token("demo")
    user = await here.id_of("users", "demo")
    await here.admin("PATCH", f"/users/{user}", {"user": {"password": "new"}})
    assert await elsewhere.works(token)  # it has not looked yet
    answer = await elsewhere.auth({"methods": ["token"], "token": {"id": token}})
    assert answer.status_code == 401


async def test_a_change_during_a_login_ends_that_logins_token(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password is right when it is looked up, and another one by the time the token is made."""
    here, elsewhere = await start(), await start()
    user = await here.id_of("users", "demo")
    assert here.shared.logins is not None
    check = here.shared.logins.check

    async def slow(user_id: str, address: str, stored: str | None, password: str) -> bool:
        right = await check(user_id, address, stored, password)
        await elsewhere.admin("PATCH", f"/users/{user}", {"user": {"password": "new"}})
        return right

    await elsewhere.admin("GET", "/users")
    monkeypatch.setattr(here.shared.logins, "check", slow)
    token = await here.token("demo")
    await here.shared.tokens.revocations.refresh()
    assert not await here.works(token)


async def test_following_hears_of_other_processes(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = await start(), await start()
    token = await here.token("demo")
    revocations, read = elsewhere.shared.tokens.revocations, asyncio.Event()
    refresh = revocations.refresh

    async def noted() -> None:
        await refresh()
        read.set()

    monkeypatch.setattr(revocations, "refresh", noted)
    following = asyncio.create_task(revocations.follow())
    try:
        assert await elsewhere.works(token)
        assert (await _logout(here, {}, token)).status_code == 204
        async with asyncio.timeout(60):
            while await elsewhere.works(token):
                read.clear()
                await read.wait()
    finally:
        following.cancel()


async def test_who_cannot_read_what_is_revoked_refuses(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await cloud.token("demo")
    unread = Revocations(cloud.db)
    monkeypatch.setattr(cloud.shared.tokens, "revocations", unread)
    answer = await cloud.ask(token, "GET", "/auth/projects")
    assert answer.status_code == 503
    await unread.refresh()
    assert await cloud.works(token)
    monkeypatch.setattr(unread, "_read_at", unread._read_at - 31)
    assert (await cloud.ask(token, "GET", "/auth/projects")).status_code == 503
