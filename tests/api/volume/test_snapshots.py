"""/snapshots"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.volume.conftest import PROJECT, As, Client
from tests.api.volume.test_volumes import BASE, NOBODY, make

from cyclades.model import quota
from cyclades.store import quotas
from cyclades.store.database import Database


@pytest.fixture
async def volume_id(member: Client, put: Callable[..., Any]) -> str:
    made = await make(member, size=2)
    await put("volume", made["id"], status="available")
    return str(made["id"])


async def take(client: Client, volume_id: str, **asked: Any) -> Any:
    return await client.post(f"{BASE}/snapshots", json={"snapshot": {"volume_id": volume_id, **asked}})


async def test_a_snapshot_is_accepted_and_shown(member: Client, volume_id: str, database: Database) -> None:
    answer = await take(member, volume_id, name="before", metadata={"a": "b"})
    assert answer.status_code == 202
    made = answer.json()["snapshot"]
    assert (made["status"], made["size"], made["volume_id"]) == ("creating", 2, volume_id)
    shown = (await member.get(f"{BASE}/snapshots/{made['id']}")).json()["snapshot"]
    assert shown["os-extended-snapshot-attributes:project_id"] == PROJECT
    answer = await member.put(f"{BASE}/snapshots/{made['id']}", json={"snapshot": {"name": "after"}})
    assert set(answer.json()["snapshot"]) == set(made)  # Cinder adds those attributes to what is shown alone
    assert [s["id"] for s in (await member.get(f"{BASE}/snapshots/detail")).json()["snapshots"]] == [made["id"]]
    usage = await database.read(lambda tx: quotas.usage(tx, PROJECT))
    assert (usage[quota.SNAPSHOTS], usage[quota.GIGABYTES]) == (1, 4)


async def test_in_use_needs_force_before_3_66(
    member: Client, speaking_as: As, volume_id: str, put: Callable[..., Any]
) -> None:
    await put("volume", volume_id, status="in-use")
    old = speaking_as(version="3.65")
    assert (await take(old, volume_id)).status_code == 400
    assert (await take(old, volume_id, force=True)).status_code == 202
    assert (await take(member, volume_id)).status_code == 202
    assert (await take(member, volume_id, force=False)).status_code == 400


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, 400),
        ({"volume_id": "x"}, 400),
        ({"volume_id": NOBODY}, 404),
        ({"volume_id": None}, 404),
        ({"volume_id": NOBODY, "colour": "red"}, 400),
    ],
)
async def test_bad_input(member: Client, asked: dict[str, Any], code: int) -> None:
    assert (await member.post(f"{BASE}/snapshots", json={"snapshot": asked})).status_code == code


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "x" * 256}, {"name": "bell\u0007"}, {"name": "nul\u0000"}, {"name": 7}, {"description": 7},
        {"metadata": {"k": 1}}, {"metadata": {"": "v"}}, {"metadata": {"k": "v" * 256}}, {"metadata": "x"},
        {"metadata": {str(i): "v" for i in range(200)}}, {"force": "perhaps"}, {"colour": "red"},
    ],
)  # fmt: skip
async def test_bad_fields_change_nothing(
    member: Client, volume_id: str, asked: dict[str, Any], database: Database
) -> None:
    before = await database.read(lambda tx: quotas.usage(tx, PROJECT))
    answer = await take(member, volume_id, **asked)
    assert answer.status_code == 400, answer.text
    assert "badRequest" in answer.json()
    assert (await member.get(f"{BASE}/snapshots")).json()["snapshots"] == []
    assert await database.read(lambda tx: quotas.usage(tx, PROJECT)) == before


async def test_a_volume_with_snapshots_stays(member: Client, volume_id: str) -> None:
    await take(member, volume_id)
    answer = await member.delete(f"{BASE}/volumes/{volume_id}")
    assert answer.status_code == 400
    assert "snapshots" in answer.text


async def test_another_project_does_not_see_it(
    member: Client, stranger: Client, volume_id: str, put: Callable[..., Any]
) -> None:
    made = (await take(member, volume_id)).json()["snapshot"]
    await put("snapshot", made["id"], status="available")
    path = f"{BASE}/snapshots/{made['id']}"
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.delete(path)).status_code == 404
    assert (await stranger.put(path, json={"snapshot": {"name": "mine"}})).status_code == 404
    assert (await take(stranger, volume_id)).status_code == 404
    assert (await stranger.get(f"{BASE}/snapshots")).json()["snapshots"] == []
    assert (await member.delete(path)).status_code == 202


async def test_a_volume_is_made_from_it_in_its_size_and_type(
    member: Client, volume_id: str, put: Callable[..., Any]
) -> None:
    made = (await take(member, volume_id)).json()["snapshot"]
    creating = await member.post(f"{BASE}/volumes", json={"volume": {"snapshot_id": made["id"]}})
    assert creating.status_code == 400
    await put("snapshot", made["id"], status="available")
    small = await member.post(f"{BASE}/volumes", json={"volume": {"snapshot_id": made["id"], "size": 1}})
    assert small.status_code == 400
    clone = await member.post(f"{BASE}/volumes", json={"volume": {"snapshot_id": made["id"]}})
    assert clone.json()["volume"]["size"] == 2
    assert clone.json()["volume"]["snapshot_id"] == made["id"]
