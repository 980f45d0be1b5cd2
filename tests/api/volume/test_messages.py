"""/messages"""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.volume.conftest import OTHER, PROJECT, As, Client, New
from tests.api.volume.test_volumes import BASE, NOBODY

from cyclades.store import messages
from cyclades.store import schema as t
from cyclades.store.database import Database

NAMES = {"id", "event_id", "message_level", "user_message", "request_id", "resource_type", "resource_uuid",
         "created_at", "guaranteed_until", "links"}  # fmt: skip


@pytest.fixture
async def ids(database: Database, new_volume: New) -> list[str]:
    """Of two volumes of one project; the first failed to be made, the second to be extended."""
    volumes = [await new_volume(), await new_volume()]
    for volume_id, operation in zip(volumes, ("volume_create", "volume_extend"), strict=True):
        await tell(database, volume_id, operation)
    return volumes


async def tell(database: Database, volume_id: str, operation: str) -> None:
    more = {"operation": operation, "request_id": f"req-{operation}", "project_id": PROJECT}
    await database.write(lambda tx: messages.add(tx, "volume", volume_id, "The pool is full.", **more))


async def listed(client: Client, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"{BASE}/messages?{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["messages"]
    return found


async def test_a_message_says_what_failed_and_why(member: Client, ids: list[str]) -> None:
    newest, oldest = await listed(member)
    assert set(oldest) == NAMES
    assert oldest["resource_uuid"] == ids[0]
    assert oldest["resource_type"] == "VOLUME"
    assert oldest["event_id"] == "VOLUME_VOLUME_CREATE_001"
    assert oldest["message_level"] == "ERROR"
    assert oldest["user_message"] == "volume create: The pool is full."
    assert oldest["guaranteed_until"] > oldest["created_at"]
    assert newest["event_id"] == "VOLUME_VOLUME_EXTEND_001"
    shown = (await member.get(f"{BASE}/{PROJECT}/messages/{oldest['id']}")).json()
    assert shown == {"message": oldest}


async def test_messages_came_with_3_3(speaking_as: As, ids: list[str]) -> None:
    assert (await speaking_as(version="3.2").get(f"{BASE}/messages")).status_code == 404
    old = speaking_as(version="3.4")
    assert len(await listed(old, "limit=1")) == 1
    assert len(await listed(old, "resource_uuid=" + ids[0])) == 2  # which 3.5 brought


async def test_they_are_filtered_sorted_and_paged(member: Client, ids: list[str]) -> None:
    async def found(query: str) -> list[str]:
        return [one["resource_uuid"] for one in await listed(member, query)]

    assert await found(f"resource_uuid={ids[0]}") == ids[:1]
    assert await found("event_id=VOLUME_VOLUME_EXTEND_001") == ids[1:]
    assert await found("event_id=VOLUME_VOLUME_EXTEND_002") == []
    assert await found("request_id=req-volume_create") == ids[:1]
    assert await found("message_level=ERROR&resource_type=VOLUME&sort=created_at:asc") == ids
    assert await found("message_level=DEBUG") == []
    assert await found("resource_type=VOLUME_SNAPSHOT") == []
    assert await found("resource_type=nothing") == []
    first = (await member.get(f"{BASE}/messages?limit=1&sort=event_id:asc")).json()
    assert [one["resource_uuid"] for one in first["messages"]] == ids[:1]
    query = first["messages_links"][0]["href"].partition("?")[2]
    assert await found(query) == ids[1:]
    assert (await member.get(f"{BASE}/messages?marker={NOBODY}")).status_code == 404
    for bad in ("colour=red", "sort=colour", "limit=x"):
        assert (await member.get(f"{BASE}/messages?{bad}")).status_code == 400, bad


async def test_they_are_a_projects_own(member: Client, stranger: Client, speaking_as: As, ids: list[str]) -> None:
    (one, _) = await listed(member)
    path = f"{BASE}/messages/{one['id']}"
    assert await listed(stranger, "all_tenants=1") == []
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.delete(path)).status_code == 404
    reader, admin = speaking_as(PROJECT, "reader"), speaking_as(OTHER, "admin")
    assert len(await listed(reader)) == 2
    assert (await reader.delete(path)).status_code == 403
    assert await listed(admin) == []
    assert len(await listed(admin, "all_tenants=1")) == 2
    assert (await admin.get(path)).status_code == 200


async def test_a_message_is_deleted(member: Client, ids: list[str]) -> None:
    gone, stays = await listed(member)
    path = f"{BASE}/messages/{gone['id']}"
    answer = await member.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await member.get(path)).status_code == 404
    assert (await member.delete(path)).status_code == 404
    assert await listed(member) == [stays]


async def test_a_message_that_has_had_its_time_is_not_told(member: Client, ids: list[str], database: Database) -> None:
    await database.write(lambda tx: tx.execute(t.message.update().values(expires_at=t.now())))
    assert await listed(member) == []
