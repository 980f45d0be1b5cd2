"""`Idempotency-Key`, on every POST that makes something.

Made from the route tables: a new route must say here what it makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.whole import PUBLIC_KEY, SERVICES, TRANSFER_KEY, Whole, whole

from cyclades.api.http.service import Route, Service
from cyclades.store import idempotency, schema
from cyclades.store.database import Database

Body = Callable[[Whole, str], dict[str, Any]]  # the cloud, and a name that is different in another request


def _managed(name: str) -> dict[str, Any]:
    return {"volume": {"name": name, "host": "cyclades@local#local", "ref": {"source-name": "disk"}}}


def _managed_snapshot(cloud: Whole, name: str) -> dict[str, Any]:
    return {"snapshot": {"name": name, "volume_id": cloud.ids["volume_id"], "ref": {"source-name": "disk"}}}


# What each of them takes.
_MAKES: dict[str, Body] = {
    "/v3/users": lambda cloud, name: {"user": {"name": name, "password": "secret"}},
    "/v3/users/{user_id}/application_credentials": lambda cloud, name: {"application_credential": {"name": name}},
    "/v3/projects": lambda cloud, name: {"project": {"name": name}},
    "/v3/domains": lambda cloud, name: {"domain": {"name": name}},
    "/v3/roles": lambda cloud, name: {"role": {"name": name}},
    "/v2/images": lambda cloud, name: {"name": name},
    "/v2/images/{image_id}/members": lambda cloud, name: {"member": name},
    "/volumes": lambda cloud, name: {"volume": {"name": name, "size": 1}},
    "/snapshots": lambda cloud, name: {"snapshot": {"name": name, "volume_id": cloud.ids["volume_id"]}},
    "/attachments": lambda cloud, name: {
        "attachment": {"volume_uuid": cloud.ids["volume_id"], "connector": {"host": name}}
    },
    "/os-volume-manage": lambda cloud, name: _managed(name),
    "/manageable_volumes": lambda cloud, name: _managed(name),
    "/os-snapshot-manage": lambda cloud, name: _managed_snapshot(cloud, name),
    "/manageable_snapshots": lambda cloud, name: _managed_snapshot(cloud, name),
    "/types": lambda cloud, name: {"volume_type": {"name": name}},
    "/flavors": lambda cloud, name: {"flavor": {"name": name, "ram": 1, "vcpus": 1, "disk": 1}},
    "/os-keypairs": lambda cloud, name: {"keypair": {"name": name, "type": "ssh", "public_key": PUBLIC_KEY}},
    "/servers": lambda cloud, name: {
        "server": {"name": name, "flavorRef": "public", "imageRef": cloud.ids["image_id"], "networks": "none"}
    },
    "/os-volumes": lambda cloud, name: {"volume": {"display_name": name, "size": 1}},
    "/os-snapshots": lambda cloud, name: {"snapshot": {"display_name": name, "volume_id": cloud.ids["volume_id"]}},
    "/servers/{server_id}/os-volume_attachments": lambda cloud, name: {
        "volumeAttachment": {"volumeId": cloud.ids["volume_id"], "tag": name}
    },
}
_KEYS = {"first": TRANSFER_KEY, "second": "another"}
for _path in ("/os-volume-transfer", "/volume-transfers"):
    _MAKES[_path] = lambda cloud, name: {"transfer": {"name": name, "volume_id": cloud.ids["volume_id"]}}
    _MAKES[f"{_path}/{{transfer_id}}/accept"] = lambda cloud, name: {"accept": {"auth_key": _KEYS[name]}}
# POSTs that make no resource of their own.
_NOTHING_NEW = {
    "/v3/auth/tokens",
    "/v3/users/{user_id}/password",
    "/v2/images/{image_id}/actions/deactivate",
    "/v2/images/{image_id}/actions/reactivate",
    "/volumes/{volume_id}/metadata",
    "/snapshots/{snapshot_id}/metadata",
    "/types/{type_id}/extra_specs",
    "/types/{type_id}/encryption",
    "/servers/{server_id}/metadata",
    "/images/{image_id}/metadata",
    "/flavors/{flavor_id}/os-extra_specs",
    # Refused, whatever they ask for.
    "/servers/{server_id}/remote-consoles",
    "/servers/{server_id}/os-interface",
    "/os-aggregates",
    "/os-server-groups",
    "/os-networks",
    "/os-tenant-networks",
    "/os-security-groups",
    "/os-security-group-rules",
    "/os-floating-ips",
}


def _posts() -> Iterator[tuple[Service, Route]]:
    for service in SERVICES:
        for route in service.routes:
            writes = service.name != "network"  # which refuses every write
            if writes and route.method == "POST" and route.action is None and route.path not in _NOTHING_NEW:
                yield service, route


_MAKING = [pytest.param(service, route, id=route.path) for service, route in _posts()]


@pytest.fixture
def cloud(database: Database, tmp_path: Path) -> Iterator[Whole]:
    with whole(database, tmp_path) as made:
        yield made


def _client(
    cloud: Whole, service: Service, route: Route | None = None, /, *, key: str = "one", **who: str
) -> httpx.AsyncClient:
    headers = {"Idempotency-Key": key}
    if service.versions is not None:
        version = (route and route.until) or service.versions.most
        headers["OpenStack-API-Version"] = f"{service.versions.name} {version}"
    project = who.get("project_id", cloud.ids["project_id"])
    return cloud.client(project, "admin", "member", user_id=who.get("user_id"), **headers)


def _url(cloud: Whole, service: Service, route: Route) -> str:
    return service.prefix + route.path.format(**cloud.ids)


@pytest.mark.parametrize(("service", "route"), _MAKING)
async def test_a_repeat_makes_nothing(cloud: Whole, service: Service, route: Route) -> None:
    body, url = _MAKES[route.path](cloud, "first"), _url(cloud, service, route)
    async with _client(cloud, service, route) as client:
        first = await client.post(url, json=body)
        assert first.is_success, first.text
        before = await cloud.everything()
        again = await client.post(url, json=dict(reversed(body.items())))
        assert (again.status_code, again.content) == (first.status_code, first.content)
        other = await client.post(url, json=_MAKES[route.path](cloud, "second"))
        assert other.status_code == 409, other.text
    assert await cloud.everything() == before


@pytest.mark.parametrize(("service", "route"), _MAKING)
async def test_two_at_once_make_one(cloud: Whole, service: Service, route: Route) -> None:
    body, url = _MAKES[route.path](cloud, "first"), _url(cloud, service, route)
    async with _client(cloud, service, route) as client:
        answers = await asyncio.gather(*(client.post(url, json=body) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {200, 201, 202}, [answer.text for answer in answers]
    assert len({answer.content for answer in answers}) == 1


VOLUMES = "/volume/v3/volumes"


def _volume(cloud: Whole, key: str = "one", **who: str) -> httpx.AsyncClient:
    return _client(cloud, next(service for service, route in _posts() if route.path == "/volumes"), key=key, **who)


async def test_a_refused_request_binds_no_key(cloud: Whole) -> None:
    async with _volume(cloud) as client:
        assert (await client.post(VOLUMES, json={"volume": {"size": 1, "volume_type": "none"}})).status_code == 404
        assert (await client.post(VOLUMES, json={"volume": {"size": 1}})).status_code == 202


async def test_a_key_is_a_users_in_a_project(cloud: Whole) -> None:
    seen = set()
    for who in ({}, {"user_id": "0" * 32}, {"project_id": cloud.other_project}):
        async with _volume(cloud, **who) as client:
            seen.add((await client.post(VOLUMES, json={"volume": {"size": 1}})).json()["volume"]["id"])
    assert len(seen) == 3


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "caf\u00e9"])
async def test_keys_that_are_none(cloud: Whole, key: str) -> None:
    volume_id = cloud.ids["volume_id"]
    async with _volume(cloud, "one") as client:
        headers = {b"Idempotency-Key": key.encode("latin-1")}
        for path, body in ((VOLUMES, {"volume": {"size": 1}}), (f"{VOLUMES}/{volume_id}/metadata", {"metadata": {}})):
            answer = await client.post(path, json=body, headers=headers)
            assert answer.status_code == 400
            assert "Idempotency-Key" in answer.text


async def test_a_key_is_forgotten_after_its_time(cloud: Whole) -> None:
    async with _volume(cloud) as client:
        first = (await client.post(VOLUMES, json={"volume": {"size": 1}})).json()["volume"]["id"]
        late = schema.idempotency.update().values(expires_at=schema.now() - 1)
        await cloud.db.write(lambda tx: tx.execute(late))
        assert (await client.post(VOLUMES, json={"volume": {"size": 1}})).json()["volume"]["id"] != first


async def test_what_is_kept_shows_no_secret(cloud: Whole) -> None:
    async with _client(cloud, next(s for s, route in _posts() if route.path == "/v3/users")) as client:
        made = await client.post("/identity/v3/users", json={"user": {"name": "ada", "password": "hush-hush"}})
        assert made.status_code == 201
    (row,) = await cloud.db.read(lambda tx: tx.execute(schema.idempotency.select()).all())
    assert b"ada" not in row.answer
    assert row.expires_at - schema.now() <= idempotency.KEPT
