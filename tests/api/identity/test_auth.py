"""Logins and tokens, through HTTP."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.api.identity.conftest import PASSWORDS, URL, Cloud, Start

from cyclades.security.logins import Limits
from cyclades.store import users

ADMIN_SCOPE = {"project": {"name": "admin", "domain": {"name": "Default"}}}


async def test_login_to_a_project_by_names(cloud: Cloud) -> None:
    answer = await cloud.login("demo", project="demo")
    token = answer.json()["token"]
    assert answer.status_code == 201
    assert len(answer.headers["x-subject-token"]) < 600
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "demo"
    assert token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert token["project"]["name"] == "demo"
    assert [role["name"] for role in token["roles"]] == ["member"]
    assert token["expires_at"] > token["issued_at"]
    assert "password" not in answer.text.replace('"methods":["password"]', "").replace("password_expires_at", "")


async def test_login_by_ids(cloud: Cloud) -> None:
    user = {"id": await cloud.id_of("users", "demo"), "password": PASSWORDS["demo"]}
    project_id = await cloud.id_of("projects", "demo")
    scope = {"project": {"id": project_id}}
    answer = await cloud.auth({"methods": ["password"], "password": {"user": user}}, scope)
    assert answer.json()["token"]["project"]["id"] == project_id


async def test_catalog_has_the_projects_urls(cloud: Cloud) -> None:
    answer = (await cloud.login("demo", project="demo")).json()["token"]
    urls = {
        service["type"]: next(endpoint["url"] for endpoint in service["endpoints"] if endpoint["interface"] == "public")
        for service in answer["catalog"]
    }
    assert urls["block-storage"] == f"{URL}/volume/v3"
    assert urls["volumev3"] == f"{URL}/volume/v3/{answer['project']['id']}"
    assert urls["compute"] == f"{URL}/compute/v2.1"
    assert urls["image"] == f"{URL}/image"
    assert all(len(service["endpoints"]) == 3 for service in answer["catalog"])


async def test_nocatalog(cloud: Cloud) -> None:
    token = await cloud.token("demo", project="demo")
    answer = await cloud.ask(token, "GET", "/auth/tokens?nocatalog", **{"X-Subject-Token": token})
    assert answer.status_code == 200
    assert "catalog" not in answer.json()["token"]


@pytest.mark.parametrize("scope", ["unscoped", {"unscoped": {}}, None])
async def test_unscoped(cloud: Cloud, scope: Any) -> None:
    answer = (await cloud.login("demo", scope=scope)).json()["token"]
    assert not {"project", "roles", "catalog"} & set(answer)


async def test_default_project(cloud: Cloud) -> None:
    user_id, project_id = await cloud.id_of("users", "demo"), await cloud.id_of("projects", "demo")
    body = {"user": {"default_project_id": project_id}}
    assert (await cloud.admin("PATCH", f"/users/{user_id}", body)).status_code == 200
    assert (await cloud.login("demo")).json()["token"]["project"]["id"] == project_id
    assert "project" not in (await cloud.login("demo", scope={"unscoped": {}})).json()["token"]


async def test_rescoping_keeps_the_expiry(cloud: Cloud) -> None:
    first = await cloud.login("demo")
    identity = {"methods": ["token"], "token": {"id": first.headers["x-subject-token"]}}
    scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
    second = await cloud.auth(identity, scope)
    assert second.status_code == 201
    assert second.json()["token"]["expires_at"] == first.json()["token"]["expires_at"]
    assert second.json()["token"]["audit_ids"][1] == first.json()["token"]["audit_ids"][0]
    assert set(second.json()["token"]["methods"]) == {"token", "password"}


async def test_system_and_domain_scope(cloud: Cloud) -> None:
    system = await cloud.login("admin", scope={"system": {"all": True}})
    assert system.json()["token"]["system"] == {"all": True}
    token = system.headers["x-subject-token"]
    assert (await cloud.ask(token, "GET", "/users")).status_code == 200
    assert (await cloud.login("admin", scope={"domain": {"id": "default"}})).status_code == 401
    admin, role = await cloud.id_of("users", "admin"), await cloud.id_of("roles", "admin")
    given = await cloud.admin("PUT", f"/domains/default/users/{admin}/roles/{role}")
    assert given.status_code == 204
    domain = await cloud.login("admin", scope={"domain": {"name": "Default"}})
    assert domain.json()["token"]["domain"] == {"id": "default", "name": "Default"}
    assert (await cloud.ask(token, "GET", "/auth/system")).json()["system"] == [{"all": True}]


@pytest.mark.parametrize(
    "scope",
    [
        ADMIN_SCOPE,
        {"project": {"id": "0" * 32}},
        {"project": {"name": "demo", "domain": {"name": "nowhere"}}},
        {"domain": {"id": "default"}},
        {"system": {"all": True}},
    ],
)
async def test_no_role_no_token(cloud: Cloud, scope: Any) -> None:
    answer = await cloud.login("demo", scope=scope)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == 401
    assert "x-subject-token" not in answer.headers


async def test_whoever_is_unknown_looks_like_a_wrong_password(cloud: Cloud) -> None:
    wrong = await cloud.login("demo", password="wrong")
    unknown = await cloud.login("nobody", password="wrong")
    elsewhere = await cloud.login("demo", domain={"name": "nowhere"})
    assert wrong.status_code == 401
    assert wrong.json() == unknown.json() == elsewhere.json()
    assert "Keystone uri=" in wrong.headers["www-authenticate"]


async def test_disabled_users_and_domains_do_not_log_in(cloud: Cloud) -> None:
    domain = (await cloud.admin("POST", "/domains", {"domain": {"name": "d"}})).json()["domain"]["id"]
    user = {"name": "x", "domain_id": domain, "password": "a password"}
    user_id = (await cloud.admin("POST", "/users", {"user": user})).json()["user"]["id"]
    assert (await cloud.login("x", domain={"id": domain})).status_code == 201
    await cloud.admin("PATCH", f"/users/{user_id}", {"user": {"enabled": False}})
    assert (await cloud.login("x", domain={"id": domain})).status_code == 401
    await cloud.admin("PATCH", f"/users/{user_id}", {"user": {"enabled": True}})
    await cloud.admin("PATCH", f"/domains/{domain}", {"domain": {"enabled": False}})
    assert (await cloud.login("x", domain={"id": domain})).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"auth": {}},
        {"auth": {"identity": {}}},
        {"auth": {"identity": {"methods": []}}},
        {"auth": {"identity": {"methods": ["password"]}}},
        {"auth": {"identity": {"methods": "password"}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "demo", "password": "TOP"}}}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "x", "password": 7777}}}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "x", "password": "TOP" * 2000}}}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": ["TOP"], "password": "x"}}}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": 5}}}},
    ],
)
async def test_malformed_logins(cloud: Cloud, body: Any) -> None:
    answer = await cloud.http.post("/identity/v3/auth/tokens", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["title"] == "Bad Request"
    assert "TOP" not in answer.text
    assert "7777" not in answer.text


async def test_unknown_method(cloud: Cloud) -> None:
    assert (await cloud.auth({"methods": ["kerberos"]})).status_code == 401


async def test_show_check_and_revoke(cloud: Cloud) -> None:
    token, other = await cloud.token("demo", project="demo"), await cloud.token("demo")
    subject = {"X-Subject-Token": token}
    assert (await cloud.ask(other, "GET", "/auth/tokens", **subject)).json()["token"]["project"]["name"] == "demo"
    head = await cloud.ask(other, "HEAD", "/auth/tokens", **subject)
    assert (head.status_code, head.content) == (200, b"")
    assert (await cloud.ask(other, "DELETE", "/auth/tokens", **subject)).status_code == 204
    assert not await cloud.works(token)
    assert await cloud.works(other)
    assert (await cloud.ask(other, "GET", "/auth/tokens", **subject)).status_code == 404


async def test_others_tokens_are_admins_business(cloud: Cloud) -> None:
    demo, admin = await cloud.token("demo", project="demo"), await cloud.token("admin", project="admin")
    assert (await cloud.ask(demo, "GET", "/auth/tokens", **{"X-Subject-Token": admin})).status_code == 403
    assert (await cloud.ask(demo, "DELETE", "/auth/tokens", **{"X-Subject-Token": admin})).status_code == 403
    assert (await cloud.ask(admin, "GET", "/auth/tokens", **{"X-Subject-Token": demo})).status_code == 200
    assert (await cloud.ask(admin, "GET", "/auth/tokens")).status_code == 400


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_forged_and_garbage_tokens(cloud: Cloud) -> None:
    token = await cloud.token("demo", project="demo")
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    kid = json.loads(base64.urlsafe_b64decode(head + "=="))["kid"]
    raised = _part({**claims, "rol": ["admin"]})
    for forged in (
        "",
        "garbage",
        "a.b.c",
        "é",
        "x" * 100_000,
        f"{head}.{raised}.{signature}",
        f"{_part({'alg': 'none', 'kid': kid})}.{raised}.",
        f"{_part({'alg': 'None', 'kid': kid})}.{raised}.{signature}",
        f"{_part({'alg': 'HS512', 'kid': kid})}.{payload}.{signature}",
        f"{_part({'alg': 'HS256', 'kid': '../../etc/passwd'})}.{payload}.{signature}",
        f"{_part({'alg': 'HS256', 'kid': ['x']})}.{payload}.{signature}",
        f"{_part({'alg': 'HS256'})}.{payload}.{signature}",
        f"{head}.{payload}.{signature[::-1]}",
    ):
        headers = {b"X-Auth-Token": forged.encode()}
        answer = await cloud.http.get("/identity/v3/auth/projects", headers=headers)
        assert answer.status_code == 401, forged[:80]
    assert await cloud.works(token)


async def test_too_many_failed_logins(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.shared.logins, "_limits", Limits(3))
    answers = [await cloud.login("demo", password="wrong") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert answers[-1].json()["error"]["title"] == "Too Many Requests"


async def test_own_lists(cloud: Cloud) -> None:
    token = await cloud.token("demo", project="demo")
    assert [p["name"] for p in (await cloud.ask(token, "GET", "/auth/projects")).json()["projects"]] == ["demo"]
    assert (await cloud.ask(token, "GET", "/auth/domains")).json()["domains"] == []
    assert (await cloud.ask(token, "GET", "/auth/system")).json()["system"] == []
    assert len((await cloud.ask(token, "GET", "/auth/catalog")).json()["catalog"]) >= 5
    unscoped = await cloud.token("demo", scope={"unscoped": {}})
    assert (await cloud.ask(unscoped, "GET", "/auth/catalog")).status_code == 403


async def test_versions(cloud: Cloud) -> None:
    for path in ("/identity", "/identity/"):
        answer = await cloud.http.get(path)
        assert answer.status_code == 300
        assert answer.json()["versions"]["values"][0]["links"][0]["href"] == f"{URL}/identity/v3/"
    for path in ("/identity/v3", "/identity/v3/"):
        assert (await cloud.http.get(path)).json()["version"]["id"].startswith("v3.")


async def test_hashes_follow_the_settings(cloud: Cloud, start: Start) -> None:
    """A password that was hashed with other costs is hashed again when it is next shown; nobody is logged out."""
    token = await cloud.token("demo")
    cloud.settings.identity.hash_memory = 128
    dearer = await start()
    user_id = await cloud.id_of("users", "demo")
    assert (await dearer.login("demo")).status_code == 201
    stored = (await cloud.db.read(lambda tx: users.get(tx, user_id))).password_hash
    assert "m=128," in stored
    assert (await cloud.login("demo")).status_code == 201
    assert await cloud.works(token)
