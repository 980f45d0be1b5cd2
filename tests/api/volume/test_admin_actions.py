"""What admins set right by hand: who may, what is asked for, what is refused. What becomes of it on a real pool is in
tests/operations/test_volume_admin.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.volume.conftest import PROJECT, As, Client, New
from tests.api.volume.test_volumes import BASE, NOBODY

from cyclades.api.http.request import EXTRAS_HEADER
from cyclades.operations.base import new_id
from cyclades.store import snapshots
from cyclades.store.database import Database


async def act(client: Client, volume_id: str, action: str, asked: Any = None) -> Any:
    return await client.post(f"{BASE}/volumes/{volume_id}/action", json={action: asked})


async def status_of(client: Client, volume_id: str) -> str:
    status: str = (await client.get(f"{BASE}/volumes/{volume_id}")).json()["volume"]["status"]
    return status


@pytest.fixture
async def snapshot_id(database: Database, new_volume: New) -> str:
    volume_id, made = await new_volume(), new_id()
    columns = {"project_id": PROJECT, "user_id": "u" * 32, "status": "available", "size": 1}
    await database.write(lambda tx: snapshots.add(tx, made, volume_id=volume_id, **columns))
    return made


@pytest.mark.parametrize("action", ["os-reset_status", "os-force_delete", "os-force_detach"])
async def test_only_admins_do_it(member: Client, speaking_as: As, new_volume: New, action: str) -> None:
    volume_id = await new_volume()
    for client in (member, speaking_as(PROJECT, "reader")):
        answer = await act(client, volume_id, action, {"status": "error"} if "reset" in action else {})
        assert answer.status_code == 403
    assert await status_of(member, volume_id) == "available"


async def test_an_error_is_set_at_once_and_has_its_reason(admin: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    answer = await act(admin, volume_id, "os-reset_status", {"status": "ERROR", "attach_status": None})
    assert (answer.status_code, answer.content) == (202, b"")
    shown = (await admin.get(f"{BASE}/volumes/{volume_id}", headers={EXTRAS_HEADER: "1"})).json()["volume"]
    assert shown["status"] == "error"
    assert "cyclades:reason" not in shown  # nothing is wrong with it
    (told,) = (await admin.get(f"{BASE}/messages")).json()["messages"]
    assert told["resource_uuid"] == volume_id
    assert told["user_message"] == "volume reset: The status error was set by hand."


async def test_an_errors_reason_outlives_another_error(admin: Client, new_volume: New) -> None:
    volume_id = await new_volume(status="error_extending", reason="Who knows.")
    await act(admin, volume_id, "os-reset_status", {"status": "error"})
    shown = (await admin.get(f"{BASE}/volumes/{volume_id}", headers={EXTRAS_HEADER: "1"})).json()["volume"]
    assert (shown["status"], shown["cyclades:reason"]) == ("error", "Who knows.")


async def test_what_promises_a_disk_waits_for_a_look_at_it(admin: Client, new_volume: New) -> None:
    volume_id = await new_volume(status="error", reason="Who knows.")
    assert (await act(admin, volume_id, "os-reset_status", {"status": "available"})).status_code == 202
    assert await status_of(admin, volume_id) == "error"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"status": None},
        {"status": ""},
        {"status": "happy"},
        {"status": "awaiting-transfer"},
        {"status": "extending"},
        {"status": "x" * 300},
        {"status": 1},
        {"attach_status": "half"},
        {"attach_status": "attached"},
        {"migration_status": "migrating"},
        {"status": "in-use"},
        {"status": "error", "colour": "red"},
        None,
    ],
)
async def test_what_cannot_be_set(admin: Client, new_volume: New, asked: Any) -> None:
    volume_id = await new_volume()
    answer = await act(admin, volume_id, "os-reset_status", asked)
    assert answer.status_code == 400, answer.text
    assert await status_of(admin, volume_id) == "available"


async def test_no_migration_is_always_true(admin: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    assert (await act(admin, volume_id, "os-reset_status", {"migration_status": "none"})).status_code == 202
    assert await status_of(admin, volume_id) == "available"


async def test_what_is_not_there(admin: Client) -> None:
    for action, asked in (
        ("os-reset_status", {"status": "error"}),
        ("os-force_delete", {}),
        ("os-force_detach", {}),
    ):
        assert (await act(admin, NOBODY, action, asked)).status_code == 404
    path = f"{BASE}/snapshots/{NOBODY}/action"
    assert (await admin.post(path, json={"os-reset_status": {"status": "error"}})).status_code == 404
    assert (await admin.post(path, json={"os-force_delete": {}})).status_code == 404


@pytest.mark.parametrize("status", ["available", "error", "error_deleting", "maintenance", "awaiting-transfer"])
async def test_a_volume_is_deleted_by_force_in_any_state(admin: Client, new_volume: New, status: str) -> None:
    volume_id = await new_volume(status=status)
    for _ in range(2):
        assert (await act(admin, volume_id, "os-force_delete")).status_code == 202
        assert await status_of(admin, volume_id) == "deleting"


async def test_force_detach_names_an_attachment_of_the_volume(admin: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    assert (await act(admin, volume_id, "os-force_detach", {"connector": None})).status_code == 202
    asked = {"attachment_id": NOBODY, "connector": {"host": "h"}}
    assert (await act(admin, volume_id, "os-force_detach", asked)).status_code == 404
    for bad in (None, {"attachment_id": "x"}, {"colour": "red"}):
        assert (await act(admin, volume_id, "os-force_detach", bad)).status_code == 400


async def test_a_snapshots_status_is_set(admin: Client, member: Client, snapshot_id: str) -> None:
    path = f"{BASE}/snapshots/{snapshot_id}"
    asked = {"os-reset_status": {"status": "error"}}
    assert (await member.post(f"{path}/action", json=asked)).status_code == 403
    assert (await admin.post(f"{path}/action", json=asked)).status_code == 202
    assert (await member.get(path)).json()["snapshot"]["status"] == "error"
    assert (await admin.post(f"{path}/action", json={"os-reset_status": {"status": "available"}})).status_code == 202
    for bad in ({}, {"status": "deleted"}, {"status": None}, {"status": "in-use"}):
        assert (await admin.post(f"{path}/action", json={"os-reset_status": bad})).status_code == 400, bad


async def test_a_snapshot_is_deleted_by_force(admin: Client, member: Client, snapshot_id: str) -> None:
    path = f"{BASE}/snapshots/{snapshot_id}"
    assert (await member.post(f"{path}/action", json={"os-force_delete": {}})).status_code == 403
    assert (await admin.post(f"{path}/action", json={"os-force_delete": None})).status_code == 202
    assert (await member.get(path)).json()["snapshot"]["status"] == "deleting"


async def test_a_client_says_how_far_its_snapshot_is(
    admin: Client, member: Client, stranger: Client, snapshot_id: str, put: Callable[..., Any]
) -> None:
    path = f"{BASE}/snapshots/{snapshot_id}"

    async def say(status: str, progress: Any = None, client: Client = member) -> int:
        asked = {"status": status} | ({"progress": progress} if progress is not None else {})
        return (await client.post(f"{path}/action", json={"os-update_snapshot_status": asked})).status_code

    assert await say("error", "80%") == 400  # it is available
    await admin.post(f"{path}/action", json={"os-reset_status": {"status": "creating"}})
    assert await say("error", client=stranger) == 404
    for bad in ("x", "101%", "-1%", "80"):
        assert await say("creating", bad) == 400
    assert await say("deleting") == 400
    for status, progress in (("creating", "40%"), ("error", "80%")):
        assert await say(status, progress) == 202
        shown = (await member.get(path)).json()["snapshot"]
        assert shown["status"] == status
        assert shown["os-extended-snapshot-attributes:progress"] == progress
    await put("snapshot", snapshot_id, status="creating", operation_id="an operation")
    assert await say("available") == 400  # an operation will say so
