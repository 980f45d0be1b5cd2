"""/servers/{id}/os-instance-actions: what was done with a server, from its operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.compute.conftest import BASE, NOBODY, PROJECT, As, Client, Put

from cyclades.config import Settings
from cyclades.model.caller import Caller
from cyclades.operations import volume_extend
from cyclades.store.database import Database
from cyclades.store.schema import attachment, now, operation

New = Callable[..., Awaitable[str]]
MEMBER = Caller("u" * 32, PROJECT, frozenset({"member"}), "req-extend")


def path(server_id: str, request_id: str = "") -> str:
    return f"{BASE}/servers/{server_id}/os-instance-actions" + (f"/{request_id}" if request_id else "")


async def listed(client: Client, server_id: str, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"{path(server_id)}?{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["instanceActions"]
    return found


async def names(client: Client, server_id: str, query: str = "") -> list[str]:
    return [action["action"] for action in await listed(client, server_id, query)]


@pytest.fixture
async def busy(
    member: Client, new_server: New, new_volume: New, put: Put, database: Database, settings: Settings
) -> Any:
    """A server that was created, stopped, given a volume that grew, and parted from it; and the volume's id."""
    server_id, volume_id = await new_server(), await new_volume()
    assert (await member.post(f"{BASE}/servers/{server_id}/action", json={"os-stop": None})).status_code == 202
    await put("server", server_id, status="ACTIVE", task_state=None, power="running")
    volumes = f"{BASE}/servers/{server_id}/os-volume_attachments"
    body = {"volumeAttachment": {"volumeId": volume_id}}
    assert (await member.post(volumes, json=body)).status_code == 202
    await put("volume", volume_id, status="in-use")
    mine = attachment.update().where(attachment.c.volume_id == volume_id)
    await database.write(lambda tx: tx.execute(mine.values(status="attached", operation_id=None)))
    await database.write(lambda tx: volume_extend.start(tx, MEMBER, settings, volume_id, 2))
    await put("volume", volume_id, status="in-use")
    assert (await member.delete(f"{volumes}/{volume_id}")).status_code == 202
    await database.write(lambda tx: tx.execute(mine.values(deleted_at=now())))
    await put("volume", volume_id, status="available")
    await database.write(lambda tx: volume_extend.start(tx, MEMBER, settings, volume_id, 3))  # no guest sees this
    return server_id, volume_id


async def test_what_was_done_with_a_server(member: Client, busy: Any, new_server: New) -> None:
    server_id, _ = busy
    assert await names(member, server_id) == ["detach_volume", "extend_volume", "attach_volume", "stop", "create"]
    assert await names(member, await new_server()) == ["create"]


async def test_one_action(
    member: Client, admin: Client, speaking_as: As, busy: Any, put: Put, database: Database
) -> None:
    server_id, _ = busy
    create = (await listed(member, server_id))[-1]
    assert (create["action"], create["instance_uuid"], create["message"]) == ("create", server_id, None)
    assert (create["user_id"], create["project_id"]) == ("u" * 32, PROJECT)
    shown = (await member.get(path(server_id, create["request_id"]))).json()["instanceAction"]
    [event] = shown.pop("events")
    assert shown == create
    assert (event["event"], event["result"]) == ("compute__do_build_and_run_instance", None)
    assert {"traceback", "host"} & set(event) == set()
    found = sa.select(operation.c.id).where(operation.c.request_id == create["request_id"])
    op_id = await database.read(lambda tx: tx.execute(found).scalar_one())
    await put("operation", op_id, state="failed", ended_at=now(), reason="The pool is full.")
    [event] = (await admin.get(path(server_id, create["request_id"]))).json()["instanceAction"]["events"]
    assert (event["result"], event["details"], event["host"]) == ("Error", "The pool is full.", "local")
    assert event["finish_time"] is not None
    assert (await listed(member, server_id))[-1]["message"] == "Error"
    await put("operation", op_id, state="done", reason=None)
    [event] = (await admin.get(path(server_id, create["request_id"]))).json()["instanceAction"]["events"]
    assert (event["result"], event["details"]) == ("Success", None)
    assert (await member.get(path(server_id, "req-none"))).status_code == 404

    old = speaking_as(version="2.50")
    assert "events" not in (await old.get(path(server_id, create["request_id"]))).json()["instanceAction"]
    old = speaking_as(PROJECT, "admin", version="2.1")
    shown = (await old.get(path(server_id, create["request_id"]))).json()["instanceAction"]
    assert "updated_at" not in shown
    assert set(shown["events"][0]) == {"event", "start_time", "finish_time", "result", "traceback"}


async def test_pages(member: Client, speaking_as: As, busy: Any) -> None:
    server_id, _ = busy
    every = await names(member, server_id)
    seen: list[str] = []
    url: str | None = f"{path(server_id)}?limit=2"
    while url:
        answer = (await member.get(url)).json()
        seen += [action["action"] for action in answer["instanceActions"]]
        url = answer["links"][0]["href"].removeprefix("http://127.0.0.1:8774") if "links" in answer else None
    assert seen == every
    middle = (await listed(member, server_id))[2]["updated_at"]
    assert await names(member, server_id, f"changes-since={middle}") == every[:3]
    assert await names(member, server_id, f"changes-before={middle}") == every[2:]
    for query in ("marker=req-none", "limit=-1", "changes-since=soon"):
        assert (await member.get(f"{path(server_id)}?{query}")).status_code == 400, query
    assert len(await listed(speaking_as(version="2.57"), server_id, "limit=1")) == len(every)


async def test_a_deleted_server_keeps_its_actions_from_2_21_on(
    member: Client, stranger: Client, speaking_as: As, busy: Any, put: Put
) -> None:
    server_id, _ = busy
    assert (await stranger.get(path(server_id))).status_code == 404
    assert (await member.delete(f"{BASE}/servers/{server_id}")).status_code == 204
    await put("server", server_id, status="DELETED", deleted_at=now())
    assert (await names(member, server_id))[0] == "delete"
    assert (await speaking_as(version="2.20").get(path(server_id))).status_code == 404
    assert (await stranger.get(path(server_id))).status_code == 404
    assert (await member.get(path(NOBODY))).status_code == 404
