"""Application credentials: made, used to log in, and ended."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.identity.conftest import Cloud, Start

from cyclades.store.schema import application_credential, now


async def make(cloud: Cloud, token: str, user_id: str, name: str = "robot", **asked: Any) -> httpx.Response:
    body = {"application_credential": {"name": name, **asked}}
    return await cloud.ask(token, "POST", f"/users/{user_id}/application_credentials", body)


async def new(cloud: Cloud, **asked: Any) -> dict[str, Any]:
    """One of demo's, for its project."""
    answer = await make(cloud, await cloud.token("demo", project="demo"), await cloud.id_of("users", "demo"), **asked)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["application_credential"]
    return made


async def login(cloud: Cloud, scope: Any = None, **given: Any) -> httpx.Response:
    return await cloud.auth({"methods": ["application_credential"], "application_credential": given}, scope)


async def use(cloud: Cloud, made: dict[str, Any]) -> httpx.Response:
    return await login(cloud, id=made["id"], secret=made["secret"])


async def test_it_is_made_shown_listed_and_deleted(cloud: Cloud) -> None:
    made = await new(cloud, description="for backups")
    path = f"/users/{made['user_id']}/application_credentials"
    token = await cloud.token("demo", project="demo")
    secret = made.pop("secret")
    assert len(secret) > 64
    assert made["project_id"] == await cloud.id_of("projects", "demo")
    assert [role["name"] for role in made["roles"]] == ["member"]
    assert (made["unrestricted"], made["expires_at"], made["system"]) == (False, None, None)
    assert (await cloud.ask(token, "GET", f"{path}/{made['id']}")).json() == {"application_credential": made}
    assert (await cloud.ask(token, "GET", path)).json()["application_credentials"] == [made]
    assert (await cloud.ask(token, "GET", f"{path}?name=other")).json()["application_credentials"] == []
    assert (await cloud.ask(token, "DELETE", f"{path}/{made['id']}")).status_code == 204
    assert (await cloud.ask(token, "GET", f"{path}/{made['id']}")).status_code == 404


async def test_a_login_by_id_and_by_name(cloud: Cloud) -> None:
    made = await new(cloud, secret="a secret of my own")
    user = {"name": "demo", "domain": {"id": "default"}}
    for given in (
        {"id": made["id"]},
        {"name": "robot", "user": user},
        {"name": "robot", "user": {"id": made["user_id"]}},
    ):
        answer = await login(cloud, **given, secret="a secret of my own")
        assert answer.status_code == 201, answer.text
        token = answer.json()["token"]
        assert token["methods"] == ["application_credential"]
        assert token["project"]["id"] == made["project_id"]
        assert token["application_credential"] == {"id": made["id"], "name": "robot", "restricted": True}
        assert "catalog" in token


@pytest.mark.parametrize("given", [{"secret": "wrong"}, {"id": "0" * 32}, {"id": None, "name": "robot"}])
async def test_a_wrong_one_is_refused(cloud: Cloud, given: dict[str, Any]) -> None:
    made = await new(cloud)
    whole = {"id": made["id"], "secret": made["secret"], **given}
    if whole["id"] is None:
        del whole["id"]
        whole |= {"user": {"name": "admin", "domain": {"id": "default"}}}
    assert (await login(cloud, **whole)).status_code == 401


async def test_it_has_a_scope_of_its_own(cloud: Cloud) -> None:
    made = await new(cloud)
    given = {"id": made["id"], "secret": made["secret"]}
    for scope in ("unscoped", {"project": {"name": "admin", "domain": {"id": "default"}}}, {"system": {"all": True}}):
        assert (await login(cloud, scope, **given)).status_code == 401
    token = (await login(cloud, **given)).headers["x-subject-token"]
    shown = await cloud.auth({"methods": ["token"], "token": {"id": token}}, {"unscoped": {}})
    assert shown.status_code == 401
    again = await cloud.auth({"methods": ["token"], "token": {"id": token}})
    assert again.json()["token"]["application_credential"]["id"] == made["id"]


async def test_it_has_the_roles_that_were_asked_for(cloud: Cloud) -> None:
    user_id, project_id = await cloud.id_of("users", "demo"), await cloud.id_of("projects", "demo")
    path = f"/projects/{project_id}/users/{user_id}/roles/{await cloud.id_of('roles', 'reader')}"
    assert (await cloud.admin("PUT", path)).status_code == 204
    made = await new(cloud, roles=[{"name": "reader"}])
    answer = await use(cloud, made)
    assert [role["name"] for role in answer.json()["token"]["roles"]] == ["reader"]
    token = answer.headers["x-subject-token"]
    checked = await cloud.ask(token, "GET", "/auth/tokens", **{"X-Subject-Token": token})
    assert [role["name"] for role in checked.json()["token"]["roles"]] == ["reader"]

    refused = await make(cloud, await cloud.token("demo", project="demo"), user_id, "more", roles=[{"name": "admin"}])
    assert refused.status_code == 400
    assert "role admin" in refused.json()["error"]["message"]

    assert (await cloud.admin("DELETE", path)).status_code == 204
    assert (await use(cloud, made)).status_code == 401
    assert not await cloud.works(token)


async def test_what_ends_its_tokens(cloud: Cloud, start: Start) -> None:
    other = await start()
    made = await new(cloud)
    token = (await use(cloud, made)).headers["x-subject-token"]
    owner = await cloud.token("demo", project="demo")
    path = f"/users/{made['user_id']}/application_credentials/{made['id']}"
    assert (await cloud.ask(owner, "DELETE", path)).status_code == 204
    assert not await cloud.works(token)
    await other.shared.tokens.revocations.refresh()
    assert not await other.works(token)
    assert await cloud.works(owner)
    assert (await use(cloud, made)).status_code == 401


async def test_a_disabled_user_cannot_use_it(cloud: Cloud) -> None:
    made = await new(cloud)
    await cloud.admin("PATCH", f"/users/{made['user_id']}", {"user": {"enabled": False}})
    assert (await use(cloud, made)).status_code == 401


async def test_it_expires(cloud: Cloud) -> None:
    made = await new(cloud, expires_at="2099-12-31T23:59:59.000001")
    assert made["expires_at"] == "2099-12-31T23:59:59.000001"
    soon = now() + 60 * 1_000_000
    change = application_credential.update().values(expires_at=soon)
    await cloud.db.write(lambda tx: tx.execute(change))
    token = (await use(cloud, made)).headers["x-subject-token"]
    assert cloud.shared.tokens.check(token).expires_at == soon
    await cloud.db.write(lambda tx: tx.execute(application_credential.update().values(expires_at=now())))
    assert (await use(cloud, made)).status_code == 401


@pytest.mark.parametrize(
    "asked",
    [
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "tomorrow"},
        {"access_rules": [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]},
        {"name": ""},
        {"roles": [{}]},
    ],
)
async def test_what_is_refused(cloud: Cloud, asked: dict[str, Any]) -> None:
    token, user_id = await cloud.token("demo", project="demo"), await cloud.id_of("users", "demo")
    answer = await make(cloud, token, user_id, **asked)
    assert answer.status_code == 400, answer.text
    listed = await cloud.ask(token, "GET", f"/users/{user_id}/application_credentials")
    assert listed.json()["application_credentials"] == []


async def test_names_are_the_users_own(cloud: Cloud) -> None:
    await new(cloud)
    token, user_id = await cloud.token("demo", project="demo"), await cloud.id_of("users", "demo")
    assert (await make(cloud, token, user_id)).status_code == 409
    admin = await cloud.token("admin", project="admin")
    assert (await make(cloud, admin, await cloud.id_of("users", "admin"))).status_code == 201


async def test_it_is_its_users_own(cloud: Cloud) -> None:
    made = await new(cloud)
    path = f"/users/{made['user_id']}/application_credentials"
    assert (await make(cloud, await cloud.token("admin", project="admin"), made["user_id"], "mine")).status_code == 403
    body = {"user": {"name": "other", "password": "a password"}}
    other_id = (await cloud.admin("POST", "/users", body)).json()["user"]["id"]
    other = await cloud.token("other")
    for method, rest in (("GET", ""), ("GET", f"/{made['id']}"), ("DELETE", f"/{made['id']}")):
        assert (await cloud.ask(other, method, path + rest)).status_code == 403
    assert (await cloud.ask(other, "GET", f"/users/{other_id}/application_credentials/{made['id']}")).status_code == 404
    assert (await cloud.admin("GET", f"{path}/{made['id']}")).status_code == 200
    assert (await use(cloud, made)).status_code == 201


async def test_it_manages_others_only_if_unrestricted(cloud: Cloud) -> None:
    made = await new(cloud)
    token, path = (
        (await use(cloud, made)).headers["x-subject-token"],
        f"/users/{made['user_id']}/application_credentials",
    )
    assert (await make(cloud, token, made["user_id"], "second")).status_code == 403
    assert (await cloud.ask(token, "DELETE", f"{path}/{made['id']}")).status_code == 403
    free = await new(cloud, name="free", unrestricted=True)
    token = (await use(cloud, free)).headers["x-subject-token"]
    assert (await make(cloud, token, made["user_id"], "second")).status_code == 201
    assert (await cloud.ask(token, "DELETE", f"{path}/{made['id']}")).status_code == 204


async def test_it_needs_a_project(cloud: Cloud) -> None:
    answer = await make(cloud, await cloud.token("demo"), await cloud.id_of("users", "demo"))
    assert answer.status_code == 400
