"""POST /servers/{id}/action: locks, statuses set by hand, and what is not offered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.api.compute.conftest import BASE, NOBODY, OTHER, PROJECT, As, Client, Put

New = Callable[..., Awaitable[str]]


async def act(client: Client, server_id: str, action: str, values: Any = None) -> Any:
    return await client.post(f"{BASE}/servers/{server_id}/action", json={action: values})


async def show(client: Client, server_id: str) -> Any:
    return (await client.get(f"{BASE}/servers/{server_id}")).json()["server"]


async def test_a_locked_server_is_left_alone(member: Client, admin: Client, new_server: New) -> None:
    mine = await new_server()
    assert (await act(member, mine, "lock", {"locked_reason": "at work"})).status_code == 202
    shown = await show(member, mine)
    assert (shown["locked"], shown["locked_reason"]) == (True, "at work")
    assert (await act(member, mine, "os-stop")).status_code == 409
    assert (await member.put(f"{BASE}/servers/{mine}", json={"server": {"name": "x"}})).status_code == 409
    assert (await member.delete(f"{BASE}/servers/{mine}")).status_code == 409
    assert (await act(member, mine, "lock", {"locked_reason": "other"})).status_code == 202
    assert (await show(member, mine))["locked_reason"] == "at work"
    assert [one["id"] for one in (await member.get(f"{BASE}/servers?locked=true")).json()["servers"]] == [mine]
    assert (await act(member, mine, "unlock")).status_code == 202
    shown = await show(member, mine)
    assert (shown["locked"], shown["locked_reason"]) == (False, None)
    assert (await member.get(f"{BASE}/servers?locked=true")).json()["servers"] == []
    assert (await act(member, mine, "os-stop")).status_code == 202


async def test_what_an_admin_locked_an_admin_unlocks(member: Client, speaking_as: As, new_server: New) -> None:
    mine, admin = await new_server(), speaking_as(OTHER, "admin")
    assert (await act(admin, mine, "lock")).status_code == 202
    assert (await act(member, mine, "unlock")).status_code == 403
    assert (await show(member, mine))["locked"] is True
    assert (await act(admin, mine, "unlock")).status_code == 202
    assert (await show(member, mine))["locked"] is False


async def test_the_reason_of_a_lock_came_with_2_73(speaking_as: As, new_server: New) -> None:
    mine = await new_server()
    reason = {"locked_reason": "x"}
    assert (await act(speaking_as(version="2.72"), mine, "lock", reason)).status_code == 202
    assert (await show(speaking_as(), mine))["locked_reason"] is None
    for wrong in ({}, {"locked_reason": ""}, {"locked_reason": "x" * 256}, {"colour": "red"}, "now"):
        assert (await act(speaking_as(), mine, "lock", wrong)).status_code in (202, 400)
    assert (await act(speaking_as(), mine, "lock", {"colour": "red"})).status_code == 400


async def test_a_status_set_by_hand_tells_no_lie(member: Client, admin: Client, new_server: New, put: Put) -> None:
    mine = await new_server()
    assert (await act(member, mine, "os-resetState", {"state": "error"})).status_code == 403
    assert (await act(admin, mine, "os-resetState", {"state": "error"})).status_code == 202
    shown = await show(member, mine)
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ERROR", None)
    assert "fault" not in shown
    assert (await act(admin, mine, "os-resetState", {"state": "active"})).status_code == 202
    assert (await show(member, mine))["status"] == "ACTIVE"
    await put("server", mine, status="ERROR", power="stopped")
    assert (await act(admin, mine, "os-resetState", {"state": "active"})).status_code == 202
    assert (await show(member, mine))["status"] == "SHUTOFF"
    assert (await act(admin, mine, "os-resetState", {"state": "asleep"})).status_code == 400
    await act(member, mine, "os-start")
    assert (await act(admin, mine, "os-resetState", {"state": "error"})).status_code == 409


async def test_a_server_without_a_root_is_not_reset_to_active(member: Client, admin: Client, image_id: str) -> None:
    asked = {"name": "one", "flavorRef": "1", "imageRef": image_id, "networks": "none"}
    mine = (await member.post(f"{BASE}/servers", json={"server": asked})).json()["server"]["id"]
    assert (await act(admin, mine, "os-resetState", {"state": "active"})).status_code == 409


async def test_force_delete_is_delete_and_nothing_comes_back(member: Client, new_server: New) -> None:
    mine = await new_server()
    assert (await act(member, mine, "restore")).status_code == 409
    assert (await act(member, mine, "forceDelete")).status_code == 202
    assert (await show(member, mine))["OS-EXT-STS:task_state"] == "deleting"


@pytest.mark.parametrize(
    ("version", "action", "values", "code", "rule"),
    [
        ("2.101", "rebuild", {"imageRef": NOBODY}, 403, "rebuilt-not-offered"),
        ("2.101", "resize", {"flavorRef": "1"}, 403, "resized-not-offered"),
        ("2.101", "pause", None, 403, "paused-not-offered"),
        ("2.101", "suspend", None, 403, "suspended-not-offered"),
        ("2.101", "shelve", None, 403, "shelved-not-offered"),
        ("2.101", "rescue", None, 403, "rescued-not-offered"),
        ("2.101", "createBackup", {}, 403, "backed-up-on-a-schedule-not-offered"),
        ("2.101", "changePassword", {"adminPass": "x"}, 403, "given-passwords-not-offered"),
        ("2.17", "trigger_crash_dump", None, 403, "made-to-dump-not-offered"),
        ("2.16", "trigger_crash_dump", None, 404, ""),
        ("2.101", "addSecurityGroup", {"name": "web"}, 404, "web"),
        ("2.43", "addFloatingIp", {"address": "10.0.0.1"}, 404, "10.0.0.1"),
        ("2.44", "addFloatingIp", {"address": "10.0.0.1"}, 404, "version"),
        ("2.43", "addFixedIp", {"networkId": NOBODY}, 403, "plugged-into-other-networks-not-offered"),
        ("2.5", "os-getVNCConsole", {"type": "novnc"}, 400, "Unavailable console type novnc"),
        ("2.6", "os-getVNCConsole", {"type": "novnc"}, 404, "version"),
    ],
)  # fmt: skip
async def test_what_is_not_offered_says_so(
    speaking_as: As, new_server: New, version: str, action: str, values: Any, code: int, rule: str
) -> None:
    mine, client = await new_server(), speaking_as(version=version)
    before = await show(client, mine)
    answer = await act(client, mine, action, values)
    assert answer.status_code == code, answer.text
    assert rule in answer.text
    assert await show(client, mine) == before
    assert (await act(client, NOBODY, action, values)).status_code == 404


async def test_moving_servers_is_for_admins_and_not_offered(member: Client, admin: Client, new_server: New) -> None:
    mine = await new_server()
    for action in ("migrate", "os-migrateLive", "evacuate"):
        assert (await act(member, mine, action, {})).status_code == 403
        answer = await act(admin, mine, action, {})
        assert "moved-not-offered" in answer.text


async def test_consoles_and_interfaces(member: Client, new_server: New) -> None:
    mine = await new_server()
    body = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    answer = await member.post(f"{BASE}/servers/{mine}/remote-consoles", json=body)
    assert (answer.status_code, "Unavailable console type novnc" in answer.text) == (400, True)
    path = f"{BASE}/servers/{mine}/os-interface"
    (one,) = (await member.get(path)).json()["interfaceAttachments"]
    assert (await member.get(f"{path}/{one['port_id']}")).json() == {"interfaceAttachment": one}
    assert one["fixed_ips"][0]["ip_address"] in (await member.get(f"{BASE}/servers/{mine}/ips")).text
    assert (await member.get(f"{path}/{NOBODY}")).status_code == 404
    assert (await member.post(path, json={"interfaceAttachment": {}})).status_code == 403
    assert (await member.delete(f"{path}/{one['port_id']}")).status_code == 403


async def test_tags(member: Client, speaking_as: As, new_server: New) -> None:
    path = f"{BASE}/servers/{await new_server()}/tags"
    assert (await member.put(path, json={"tags": ["b", "a", "b"]})).json() == {"tags": ["a", "b"]}
    added = await member.put(f"{path}/c")
    assert (added.status_code, added.headers["location"].endswith("/tags/c")) == (201, True)
    assert (await member.put(f"{path}/c")).status_code == 204
    assert (await member.get(path)).json() == {"tags": ["a", "b", "c"]}
    assert ((await member.get(f"{path}/c")).status_code, (await member.get(f"{path}/d")).status_code) == (204, 404)
    assert ((await member.delete(f"{path}/c")).status_code, (await member.delete(f"{path}/c")).status_code) == (
        204,
        404,
    )
    assert (await member.put(f"{path}/{'x' * 61}")).status_code == 400
    assert (await member.put(f"{path}/a,b")).status_code == 400
    full = {"tags": [str(number) for number in range(50)]}
    assert (await member.put(path, json=full)).status_code == 200
    assert (await member.put(f"{path}/more")).status_code == 400
    assert (await member.put(path, json={"tags": [*full["tags"], "more"]})).status_code == 400
    assert (await member.delete(path)).status_code == 204
    assert (await member.get(path)).json() == {"tags": []}
    assert (await speaking_as(version="2.25").get(path)).status_code == 404


async def test_a_reader_reads_alone(speaking_as: As, new_server: New) -> None:
    mine, reader = await new_server(), speaking_as(PROJECT, "reader")
    assert (await reader.get(f"{BASE}/servers/{mine}")).status_code == 200
    assert (await act(reader, mine, "lock")).status_code == 403
    assert (await reader.put(f"{BASE}/servers/{mine}/tags/x")).status_code == 403
