"""/os-volume-transfer and /volume-transfers"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.volume.conftest import OTHER, PROJECT, As, Client, New
from tests.api.volume.test_snapshots import take
from tests.api.volume.test_volume_actions import usage
from tests.api.volume.test_volumes import BASE, NOBODY, make

from cyclades.model import quota
from cyclades.store import quotas
from cyclades.store import schema as t
from cyclades.store.database import Database

PATHS = ("/os-volume-transfer", "/volume-transfers")
BRIEF = {"id", "volume_id", "name", "links"}
DETAIL = {*BRIEF, "created_at", "no_snapshots", "source_project_id", "destination_project_id", "accepted"}


@pytest.fixture
async def volume_id(member: Client, put: Callable[..., Any]) -> str:
    made = await make(member, size=2)
    await put("volume", made["id"], status="available")
    return str(made["id"])


async def offer(client: Client, volume_id: str, path: str = PATHS[1], **asked: Any) -> Any:
    return await client.post(f"{BASE}{path}", json={"transfer": {"volume_id": volume_id, **asked}})


async def accept(client: Client, transfer: dict[str, Any], key: Any = None, path: str = PATHS[1]) -> Any:
    url = f"{BASE}{path}/{transfer['id']}/accept"
    return await client.post(url, json={"accept": {"auth_key": key or transfer["auth_key"]}})


async def status_of(client: Client, volume_id: str) -> str:
    status: str = (await client.get(f"{BASE}/volumes/{volume_id}")).json()["volume"]["status"]
    return status


@pytest.mark.parametrize("path", PATHS)
async def test_a_volume_is_offered_and_accepted(
    member: Client, stranger: Client, volume_id: str, database: Database, path: str
) -> None:
    answer = await offer(member, volume_id, path, name=" for you ")
    assert answer.status_code == 202
    made = answer.json()["transfer"]
    assert set(made) == {*DETAIL, "auth_key"}
    assert (made["name"], made["volume_id"], made["source_project_id"]) == ("for you", volume_id, PROJECT)
    assert (made["accepted"], made["destination_project_id"], made["no_snapshots"]) == (False, None, False)
    assert f"{path}/{made['id']}" in made["links"][0]["href"]
    assert await status_of(member, volume_id) == "awaiting-transfer"
    shown = (await member.get(f"{BASE}{path}/{made['id']}")).json()["transfer"]
    assert shown == {name: value for name, value in made.items() if name != "auth_key"}

    answer = await accept(stranger, made, path=path)
    assert answer.status_code == 202
    assert set(answer.json()["transfer"]) == BRIEF
    taken = (await stranger.get(f"{BASE}/volumes/{volume_id}")).json()["volume"]
    assert (taken["status"], taken["os-vol-tenant-attr:tenant_id"]) == ("available", OTHER)
    assert (await member.get(f"{BASE}/volumes/{volume_id}")).status_code == 404
    assert await usage(database, PROJECT) == (0, 0, 0)
    assert await usage(database, OTHER) == (1, 0, 2)
    assert (await member.get(f"{BASE}{path}/{made['id']}")).status_code == 404
    assert (await accept(stranger, made, path=path)).status_code == 404


async def test_the_key_is_told_once_and_only_its_hash_is_kept(
    member: Client, volume_id: str, database: Database
) -> None:
    made = (await offer(member, volume_id)).json()["transfer"]
    for path in ("", "/detail", f"/{made['id']}"):
        assert made["auth_key"] not in (await member.get(f"{BASE}/volume-transfers{path}")).text
    rows = await database.read(lambda tx: repr(tx.execute(sa.select(t.transfer)).all()))
    assert made["id"] in rows
    assert made["auth_key"] not in rows


async def test_who_has_not_the_key_gets_nothing(
    member: Client, stranger: Client, speaking_as: As, volume_id: str
) -> None:
    made = (await offer(member, volume_id)).json()["transfer"]
    for key in ("wrong", 7, made["auth_key"].upper() + "0", "x" * 256):
        answer = await accept(stranger, made, key)
        assert answer.status_code == 400, answer.text
        assert made["auth_key"] not in answer.text
    path = f"{BASE}/volume-transfers/{made['id']}"
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.delete(path)).status_code == 404
    assert (await stranger.get(f"{BASE}/volume-transfers/detail?all_tenants=1")).json()["transfers"] == []
    assert (await accept(speaking_as(OTHER, "reader"), made)).status_code == 403
    assert (await accept(stranger, {**made, "id": NOBODY})).status_code == 404
    assert await status_of(member, volume_id) == "awaiting-transfer"


async def test_an_offer_is_taken_back(member: Client, stranger: Client, volume_id: str) -> None:
    made = (await offer(member, volume_id)).json()["transfer"]
    path = f"{BASE}/volume-transfers/{made['id']}"
    assert (await member.delete(path)).status_code == 202
    assert await status_of(member, volume_id) == "available"
    assert (await member.delete(path)).status_code == 404
    assert (await accept(stranger, made)).status_code == 404
    assert (await offer(member, volume_id)).status_code == 202


async def test_snapshots_go_along(
    member: Client, stranger: Client, volume_id: str, put: Callable[..., Any], database: Database
) -> None:
    snapshot_id = (await take(member, volume_id)).json()["snapshot"]["id"]
    assert (await offer(member, volume_id)).status_code == 400, "one is being made"
    assert await status_of(member, volume_id) == "available"
    await put("snapshot", snapshot_id, status="available")
    await accept(stranger, (await offer(member, volume_id)).json()["transfer"])
    shown = (await stranger.get(f"{BASE}/snapshots/{snapshot_id}")).json()["snapshot"]
    assert shown["os-extended-snapshot-attributes:project_id"] == OTHER
    assert await usage(database, PROJECT) == (0, 0, 0)
    assert await usage(database, OTHER) == (1, 1, 4)


async def test_or_stay(
    member: Client, stranger: Client, volume_id: str, put: Callable[..., Any], database: Database
) -> None:
    """Then each project has its own, and neither is in the other's way."""
    snapshot_id = (await take(member, volume_id)).json()["snapshot"]["id"]
    await put("snapshot", snapshot_id, status="available")
    made = (await offer(member, volume_id, no_snapshots=True)).json()["transfer"]
    assert made["no_snapshots"] is True
    await accept(stranger, made)
    assert await usage(database, PROJECT) == (0, 1, 2)
    assert await usage(database, OTHER) == (1, 0, 2)
    assert (await stranger.get(f"{BASE}/snapshots/{snapshot_id}")).status_code == 404
    assert (await member.get(f"{BASE}/snapshots/{snapshot_id}")).status_code == 200
    assert (await stranger.delete(f"{BASE}/volumes/{volume_id}?cascade=true")).status_code == 202
    assert (await member.get(f"{BASE}/snapshots/{snapshot_id}")).json()["snapshot"]["status"] == "available"
    assert (await member.delete(f"{BASE}/snapshots/{snapshot_id}")).status_code == 202


async def test_within_ones_own_project_only_the_user_changes(
    member: Client, volume_id: str, database: Database
) -> None:
    made = (await offer(member, volume_id)).json()["transfer"]
    assert (await accept(member, made)).status_code == 202
    assert await status_of(member, volume_id) == "available"
    assert await usage(database, PROJECT) == (1, 0, 2)


@pytest.mark.parametrize("resource", [quota.VOLUMES, quota.GIGABYTES])
async def test_over_quota_nothing_moves(
    member: Client, stranger: Client, volume_id: str, database: Database, resource: str
) -> None:
    await database.write(lambda tx: quotas.set_limit(tx, OTHER, resource, 0))
    made = (await offer(member, volume_id)).json()["transfer"]
    assert (await accept(stranger, made)).status_code == 413
    assert await status_of(member, volume_id) == "awaiting-transfer"
    assert await usage(database, PROJECT) == (1, 0, 2)
    await database.write(lambda tx: quotas.set_limit(tx, OTHER, resource, -1))
    assert (await accept(stranger, made)).status_code == 202


@pytest.mark.parametrize("status", ["in-use", "error", "creating", "awaiting-transfer"])
async def test_only_what_is_at_rest_is_offered(member: Client, new_volume: New, status: str) -> None:
    answer = await offer(member, await new_volume(status=status))
    assert answer.status_code == 400
    assert "available" in answer.text


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"volume_id": NOBODY}, 404),
        ({"volume_id": "x"}, 400),
        ({}, 400),
        ({"volume_id": NOBODY, "name": ""}, 400),
        ({"volume_id": NOBODY, "name": "  "}, 400),
        ({"volume_id": NOBODY, "name": "x" * 256}, 400),
        ({"volume_id": NOBODY, "no_snapshots": "maybe"}, 400),
        ({"volume_id": NOBODY, "colour": "red"}, 400),
    ],
)
async def test_bad_input(member: Client, asked: dict[str, Any], code: int) -> None:
    assert (await member.post(f"{BASE}/volume-transfers", json={"transfer": asked})).status_code == code


async def test_another_projects_volume_is_not_there(stranger: Client, member: Client, volume_id: str) -> None:
    assert (await offer(stranger, volume_id)).status_code == 404
    assert await status_of(member, volume_id) == "available"


async def test_what_came_with_which_version(speaking_as: As, volume_id: str) -> None:
    made = (await offer(speaking_as(version="3.54"), volume_id, PATHS[0])).json()["transfer"]
    assert set(made) == {*BRIEF, "created_at", "auth_key"}
    for version, path, names in (
        ("3.0", PATHS[0], {*BRIEF, "created_at"}),
        ("3.55", PATHS[1], {*BRIEF, "created_at", "no_snapshots"}),
        ("3.57", PATHS[1], DETAIL),
    ):
        client = speaking_as(version=version)
        assert set((await client.get(f"{BASE}{path}/{made['id']}")).json()["transfer"]) == names
        assert [set(one) for one in (await client.get(f"{BASE}{path}/detail")).json()["transfers"]] == [names]
        assert [set(one) for one in (await client.get(f"{BASE}{path}")).json()["transfers"]] == [BRIEF]
    old = speaking_as(version="3.54")
    assert (await old.get(f"{BASE}{PATHS[1]}")).status_code == 404
    assert (await offer(old, volume_id, PATHS[0], no_snapshots=True)).status_code == 400


async def test_lists_are_sorted_paged_and_filtered(member: Client, speaking_as: As, new_volume: New) -> None:
    made = [(await offer(member, await new_volume(), name=name)).json()["transfer"]["id"] for name in ("b", "a", "c")]

    async def names(query: str, client: Client = member) -> list[str]:
        answer = await client.get(f"{BASE}/volume-transfers?{query}")
        assert answer.status_code == 200, answer.text
        return [one["name"] for one in answer.json()["transfers"]]

    assert await names("") == ["c", "a", "b"]
    assert await names("sort=name:asc") == ["a", "b", "c"]
    assert await names(f"sort=name:asc&marker={made[1]}&limit=1") == ["b"]
    assert await names("offset=1&limit=1") == ["a"]
    assert await names("name=a") == ["a"]
    answer = (await member.get(f"{BASE}/volume-transfers?limit=2")).json()
    assert await names(answer["transfers_links"][0]["href"].partition("?")[2]) == ["b"]
    old = speaking_as(version="3.58")
    assert await names("sort=name:asc&limit=2", old) == ["c", "a"]
    assert len(await names("all_tenants=1", speaking_as(OTHER, "admin"))) == 3
    assert (await member.get(f"{BASE}/volume-transfers?sort=colour")).status_code == 400
