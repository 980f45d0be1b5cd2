"""Users, projects, domains, roles and assignments, through HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.api.identity.conftest import PASSWORDS, Cloud

from cyclades.api.identity import SERVICES

NEW: dict[str, dict[str, Any]] = {
    "user": {"name": "ada", "password": "a password", "email": "ada@example.org"},
    "project": {"name": "engine", "description": "of difference", "colour": "blue"},
    "domain": {"name": "london", "description": ""},
    "role": {"name": "auditor"},
}
KINDS = sorted(NEW)


async def _new(cloud: Cloud, kind: str, **fields: Any) -> dict[str, Any]:
    answer = await cloud.admin("POST", f"/{kind}s", {kind: {**NEW[kind], **fields}})
    assert answer.status_code == 201, answer.text
    return dict(answer.json()[kind])


@pytest.mark.parametrize("kind", KINDS)
async def test_life(cloud: Cloud, kind: str) -> None:
    made = await _new(cloud, kind)
    path = f"/{kind}s/{made['id']}"
    assert re.fullmatch("[0-9a-f]{32}", made["id"])
    assert {name: value for name, value in NEW[kind].items() if name != "password"}.items() <= made.items()
    assert not {"password", "password_hash", "original_password"} & set(made)
    assert (await cloud.admin("GET", path)).json()[kind] == made
    listed = (await cloud.admin("GET", f"/{kind}s?name={made['name']}")).json()
    assert listed[f"{kind}s"] == [made]
    assert listed["links"]["next"] is None
    changed = await cloud.admin("PATCH", path, {kind: {"name": "other", "shape": "round"}})
    assert changed.json()[kind] == {**made, "name": "other", "shape": "round"}
    if kind == "domain":
        assert (await cloud.admin("DELETE", path)).status_code == 403
        await cloud.admin("PATCH", path, {kind: {"enabled": False}})
    assert (await cloud.admin("DELETE", path)).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        assert (await cloud.admin(method, path, {kind: {}})).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
async def test_names_are_unique(cloud: Cloud, kind: str) -> None:
    await _new(cloud, kind)
    other = await _new(cloud, kind, name="other")
    again = await cloud.admin("POST", f"/{kind}s", {kind: NEW[kind]})
    assert again.status_code == 409
    assert again.json()["error"]["title"] == "Conflict"
    renamed = await cloud.admin("PATCH", f"/{kind}s/{other['id']}", {kind: {"name": NEW[kind]["name"]}})
    assert renamed.status_code == 409
    if kind in ("user", "project"):
        domain = await _new(cloud, "domain")
        assert (await _new(cloud, kind, domain_id=domain["id"]))["domain_id"] == domain["id"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 256},
        {"name": 5},
        {"name": None},
        {"name": "a\0b"},
        {"name": "a\nb"},
        {"description": 5},
        {"options": {"ignore_lockout": True}},
        {"more": "x" * 20_000},
    ],
)
async def test_bad_fields(cloud: Cloud, kind: str, fields: dict[str, Any]) -> None:
    if kind == "user" and "description" in fields:
        pytest.skip("a user's description is one of the fields that are only kept")
    answer = await cloud.admin("POST", f"/{kind}s", {kind: {**NEW[kind], **fields}})
    assert answer.status_code == 400, answer.text
    assert (await cloud.admin("GET", f"/{kind}s?name={NEW[kind]['name']}")).json()[f"{kind}s"] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [None, {}, [], {"thing": {}}, "text"])
async def test_bad_bodies(cloud: Cloud, kind: str, body: Any) -> None:
    assert (await cloud.admin("POST", f"/{kind}s", body)).status_code == 400


async def test_names_of_projects_and_domains_are_shorter(cloud: Cloud) -> None:
    for kind in ("project", "domain"):
        assert (await cloud.admin("POST", f"/{kind}s", {kind: {"name": "x" * 65}})).status_code == 400
        assert (await _new(cloud, kind, name="x" * 64))["name"] == "x" * 64
    assert (await _new(cloud, "user", name="x" * 255))["name"] == "x" * 255


async def test_bad_enabled_and_unknown_domains(cloud: Cloud) -> None:
    for kind in ("user", "project"):
        yes = {kind: {**NEW[kind], "enabled": "yes"}}
        assert (await cloud.admin("POST", f"/{kind}s", yes)).status_code == 400
        nowhere = {kind: {**NEW[kind], "domain_id": "nowhere"}}
        assert (await cloud.admin("POST", f"/{kind}s", nowhere)).status_code == 404
    made = await _new(cloud, "project")
    moved = await cloud.admin("PATCH", f"/projects/{made['id']}", {"project": {"domain_id": "elsewhere"}})
    assert moved.status_code == 400
    child = {"project": {"name": "child", "parent_id": made["id"]}}
    assert (await cloud.admin("POST", "/projects", child)).status_code in (400, 404)


async def test_no_password_is_repeated(cloud: Cloud) -> None:
    secret = "TOPSECRET"
    for fields in ({"password": [secret]}, {"password": secret * 1000}, {"name": 1, "password": secret}):
        answer = await cloud.admin("POST", "/users", {"user": {**NEW["user"], **fields}})
        assert answer.status_code == 400
        assert secret not in answer.text
    kept = await _new(cloud, "user", original_password=secret)
    assert secret not in str(kept)


async def test_filters(cloud: Cloud) -> None:
    await _new(cloud, "user", enabled=False)
    found = (await cloud.admin("GET", "/users?enabled=false")).json()["users"]
    assert [user["name"] for user in found] == ["ada"]
    assert (await cloud.admin("GET", "/users?domain_id=nowhere")).json()["users"] == []
    assert len((await cloud.admin("GET", "/projects?parent_id=default")).json()["projects"]) == 2


async def test_built_in_roles_and_the_default_domain_stay(cloud: Cloud) -> None:
    role = await cloud.id_of("roles", "member")
    assert (await cloud.admin("DELETE", f"/roles/{role}")).status_code == 403
    assert (await cloud.admin("PATCH", f"/roles/{role}", {"role": {"name": "x"}})).status_code == 403
    assert (await cloud.admin("PATCH", f"/roles/{role}", {"role": {"description": "x"}})).status_code == 200
    assert (await cloud.admin("PATCH", "/domains/default", {"domain": {"enabled": False}})).status_code == 403
    assert (await cloud.admin("DELETE", "/domains/default")).status_code == 403


async def test_deleting_a_domain_takes_its_users_and_projects(cloud: Cloud) -> None:
    domain = await _new(cloud, "domain")
    user = await _new(cloud, "user", domain_id=domain["id"])
    project = await _new(cloud, "project", domain_id=domain["id"])
    await cloud.admin("PATCH", f"/domains/{domain['id']}", {"domain": {"enabled": False}})
    assert (await cloud.admin("DELETE", f"/domains/{domain['id']}")).status_code == 204
    assert (await cloud.admin("GET", f"/users/{user['id']}")).status_code == 404
    assert (await cloud.admin("GET", f"/projects/{project['id']}")).status_code == 404


async def test_assignments(cloud: Cloud) -> None:
    user, project, role = await _new(cloud, "user"), await _new(cloud, "project"), await _new(cloud, "role")
    for place in (f"/projects/{project['id']}", "/domains/default", "/system"):
        path = f"{place}/users/{user['id']}/roles/{role['id']}"
        assert (await cloud.admin("HEAD", path)).status_code == 404
        assert (await cloud.admin("PUT", path)).status_code == 204
        assert (await cloud.admin("PUT", path)).status_code == 204
        assert (await cloud.admin("HEAD", path)).status_code == 204
        assert (await cloud.admin("GET", path)).status_code == 204
        listed = await cloud.admin("GET", f"{place}/users/{user['id']}/roles")
        assert [one["name"] for one in listed.json()["roles"]] == ["auditor"]
    listed = await cloud.admin("GET", f"/role_assignments?user.id={user['id']}&include_names")
    by_scope = {next(iter(one["scope"])): one for one in listed.json()["role_assignments"]}
    assert set(by_scope) == {"project", "domain", "system"}
    assert by_scope["project"]["scope"]["project"]["name"] == "engine"
    assert by_scope["project"]["scope"]["project"]["domain"]["name"] == "Default"
    assert by_scope["domain"]["role"]["name"] == "auditor"
    one = await cloud.admin("GET", f"/role_assignments?scope.project.id={project['id']}&effective")
    assert [each["user"] for each in one.json()["role_assignments"]] == [{"id": user["id"]}]
    for place in (f"/projects/{project['id']}", "/domains/default", "/system"):
        path = f"{place}/users/{user['id']}/roles/{role['id']}"
        assert (await cloud.admin("DELETE", path)).status_code == 204
        assert (await cloud.admin("DELETE", path)).status_code == 404


@pytest.mark.parametrize("missing", ["user", "project", "role"])
async def test_assignments_of_what_is_unknown(cloud: Cloud, missing: str) -> None:
    ids = {kind: (await _new(cloud, kind))["id"] for kind in ("user", "project", "role")} | {missing: "0" * 32}
    path = f"/projects/{ids['project']}/users/{ids['user']}/roles/{ids['role']}"
    assert (await cloud.admin("PUT", path)).status_code == 404


async def test_own_password(cloud: Cloud) -> None:
    user_id = await cloud.id_of("users", "demo")
    path = f"/identity/v3/users/{user_id}/password"
    wrong = {"user": {"original_password": "wrong", "password": "new"}}
    assert (await cloud.http.post(path, json=wrong)).status_code == 401
    right = {"user": {"original_password": PASSWORDS["demo"], "password": "new"}}
    assert (await cloud.http.post(path, json=right)).status_code == 204
    assert (await cloud.login("demo")).status_code == 401
    assert (await cloud.login("demo", password="new")).status_code == 201


async def test_what_a_user_sees(cloud: Cloud) -> None:
    token = await cloud.token("demo", project="demo")
    own, other = await cloud.id_of("users", "demo"), await cloud.id_of("users", "admin")
    project, others = await cloud.id_of("projects", "demo"), await cloud.id_of("projects", "admin")
    elsewhere = (await _new(cloud, "domain"))["id"]
    for path in (
        f"/users/{own}",
        f"/users/{own}/projects",
        f"/projects/{project}",
        f"/role_assignments?user.id={own}",
        "/domains/default",
    ):
        assert (await cloud.ask(token, "GET", path)).status_code == 200, path
    for path in (
        f"/users/{other}",
        f"/users/{other}/projects",
        f"/projects/{others}",
        "/role_assignments",
        f"/domains/{elsewhere}",
        "/domains",
    ):
        assert (await cloud.ask(token, "GET", path)).status_code == 403, path
    renamed = await cloud.ask(token, "PATCH", f"/users/{own}", {"user": {"name": "root"}})
    assert renamed.status_code == 403


def _admin_routes() -> list[tuple[str, str]]:
    return [
        (route.method, route.path.removeprefix("/v3"))
        for service in SERVICES
        for route in service.routes
        if route.who == "token" and not route.path.startswith(("/v3/auth", "/v3/regions"))
    ]


@pytest.mark.parametrize(("method", "path"), _admin_routes())
async def test_the_rest_is_for_admins(cloud: Cloud, method: str, path: str) -> None:
    """Whatever is not a user's own is refused alike, whether it exists or not."""
    bodies = {f"/{kind}s": {kind: {**NEW[kind], "name": "x"}} for kind in KINDS}
    bodies["/users/{user_id}/application_credentials"] = {"application_credential": {"name": "x"}}
    filled = re.sub(r"\{\w+\}", "0" * 32, path)
    body = bodies.get(path) or bodies.get(path.removesuffix(f"/{{{path.split('{')[-1]}"))
    token = await cloud.token("demo", project="demo")
    answer = await cloud.ask(token, method, filled, body)
    assert answer.status_code == 403, answer.text
    assert (await cloud.http.request(method, f"/identity/v3{filled}", json=body)).status_code == 401


async def test_services_endpoints_and_regions(cloud: Cloud) -> None:
    services = (await cloud.admin("GET", "/services?type=block-storage")).json()["services"]
    assert [service["name"] for service in services] == ["cinder"]
    endpoints = (await cloud.admin("GET", f"/endpoints?service_id={services[0]['id']}&interface=public")).json()
    assert len(endpoints["endpoints"]) == 1
    path = f"/endpoints/{endpoints['endpoints'][0]['id']}"
    assert (await cloud.admin("GET", path)).json()["endpoint"] == endpoints["endpoints"][0]
    assert (await cloud.admin("GET", "/regions")).json()["regions"][0]["id"] == "RegionOne"
    assert (await cloud.admin("GET", "/services/none")).status_code == 404
    assert (await cloud.admin("POST", "/services", {})).status_code == 405


async def test_there_are_no_groups(cloud: Cloud) -> None:
    user = await cloud.id_of("users", "demo")
    assert (await cloud.admin("GET", "/groups")).json()["groups"] == []
    assert (await cloud.admin("GET", f"/users/{user}/groups")).json()["groups"] == []
