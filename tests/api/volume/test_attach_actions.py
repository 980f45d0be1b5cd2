"""The actions with which clients attach volumes and detach them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.volume.conftest import OTHER, PROJECT, As, Client, New

from cyclades.store import attachments
from cyclades.store.database import Database
from cyclades.store.schema import operation, volume

BASE = "/volume/v3"
ELSEWHERE = "11111111-2222-4333-8444-555555555555"  # an instance that is none of our servers
Put = Callable[..., Any]


async def act(client: Client, volume_id: str, action: str, body: Any = None) -> Any:
    return await client.post(f"{BASE}/volumes/{volume_id}/action", json={action: body})


async def accepted(client: Client, volume_id: str, action: str, body: Any = None) -> None:
    answer = await act(client, volume_id, action, body)
    assert (answer.status_code, answer.content) == (202, b""), answer.text


async def refused(client: Client, volume_id: str, action: str, body: Any = None, *, code: int = 400) -> str:
    before = await shown(client, volume_id)
    answer = await act(client, volume_id, action, body)
    assert answer.status_code == code, answer.text
    assert await shown(client, volume_id) == before
    (fault,) = answer.json().values()
    return str(fault["message"])


async def shown(client: Client, volume_id: str) -> dict[str, Any]:
    answer = await client.get(f"{BASE}/volumes/{volume_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["volume"]
    return found


async def status(client: Client, volume_id: str) -> str:
    return str((await shown(client, volume_id))["status"])


@pytest.fixture
def row(database: Database) -> Callable[[str], Any]:
    async def read(volume_id: str) -> Any:
        return await database.read(lambda tx: tx.execute(sa.select(volume).where(volume.c.id == volume_id)).one())

    return read


@pytest.fixture
def attached(database: Database) -> Callable[[str], Any]:
    """The attachments of a volume."""

    async def read(volume_id: str) -> list[Any]:
        return await database.read(lambda tx: attachments.of_volume(tx, volume_id))

    return read


async def test_a_volume_is_held_and_let_go(member: Client, new_volume: New, row: Any) -> None:
    volume_id = await new_volume()
    await accepted(member, volume_id, "os-reserve")
    assert await status(member, volume_id) == "attaching"
    assert (await row(volume_id)).held_since is not None
    assert "must be available to reserve" in await refused(member, volume_id, "os-reserve")
    await refused(member, volume_id, "os-begin_detaching")
    await accepted(member, volume_id, "os-roll_detaching")  # is not what is held: nothing happens
    assert await status(member, volume_id) == "attaching"
    await accepted(member, volume_id, "os-unreserve")
    assert await status(member, volume_id) == "available"
    assert (await row(volume_id)).held_since is None
    await accepted(member, volume_id, "os-unreserve")
    assert await status(member, volume_id) == "available"


async def test_of_two_who_hold_at_once_one_wins(member: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    answers = await asyncio.gather(*(act(member, volume_id, "os-reserve") for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202, 400, 400, 400, 400, 400]


async def test_what_an_operation_owns_is_not_let_go(member: Client, new_volume: New, put: Put) -> None:
    for action, state in (("os-unreserve", "attaching"), ("os-roll_detaching", "detaching")):
        volume_id = await new_volume()
        await put("volume", volume_id, status=state, operation_id="o")
        await accepted(member, volume_id, action)
        assert await status(member, volume_id) == state
        await refused(member, volume_id, "os-begin_detaching")
        await accepted(member, volume_id, "os-detach", {})
        assert await status(member, volume_id) == state


@pytest.mark.parametrize("target", [{"instance_uuid": ELSEWHERE}, {"host_name": "store-1"}])
async def test_a_client_attaches_what_it_runs_itself(
    member: Client, admin: Client, new_volume: New, target: dict[str, str], database: Database
) -> None:
    volume_id = await new_volume()
    await accepted(member, volume_id, "os-reserve")
    await accepted(member, volume_id, "os-attach", {**target, "mountpoint": "/dev/vdc", "mode": "ro"})
    found = await shown(admin, volume_id)
    assert found["status"] == "in-use"
    (one,) = found["attachments"]
    assert one["id"] == one["volume_id"] == volume_id
    assert one["server_id"] == target.get("instance_uuid")
    assert one["host_name"] == target.get("host_name")
    assert one["device"] == "/dev/vdc"
    assert one["attached_at"]
    assert (await shown(member, volume_id))["attachments"][0]["host_name"] is None
    assert await database.read(lambda tx: tx.execute(sa.select(operation)).all()) == []

    await accepted(member, volume_id, "os-attach", {**target, "mountpoint": "/dev/vdc"})  # asked again
    assert len((await shown(member, volume_id))["attachments"]) == 1
    other = {"host_name": "store-2", "mountpoint": "/dev/vdc"}
    assert "must be available to attach" in await refused(member, volume_id, "os-attach", other)
    assert "attached" in (await member.delete(f"{BASE}/volumes/{volume_id}")).json()["badRequest"]["message"]

    await accepted(member, volume_id, "os-begin_detaching")
    assert await status(member, volume_id) == "detaching"
    await accepted(member, volume_id, "os-roll_detaching")
    assert await status(member, volume_id) == "in-use"
    await accepted(member, volume_id, "os-begin_detaching")
    await accepted(member, volume_id, "os-detach", {"attachment_id": one["attachment_id"]})
    found = await shown(member, volume_id)
    assert (found["status"], found["attachments"]) == ("available", [])
    await accepted(member, volume_id, "os-detach", {})  # there is none: nothing happens
    assert await status(member, volume_id) == "available"


async def test_a_free_volume_is_attached_without_being_held(member: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    await accepted(member, volume_id, "os-attach", {"instance_uuid": ELSEWHERE.upper(), "mountpoint": "vdb"})
    (one,) = (await shown(member, volume_id))["attachments"]
    assert one["server_id"] == ELSEWHERE
    await accepted(member, volume_id, "os-detach", None)
    assert await status(member, volume_id) == "available"


async def test_of_two_who_attach_at_once_one_wins(member: Client, new_volume: New, attached: Any) -> None:
    volume_id = await new_volume()
    targets = [{"host_name": f"host-{i}", "mountpoint": "vdb"} for i in range(6)]
    answers = await asyncio.gather(*(act(member, volume_id, "os-attach", target) for target in targets))
    assert sorted(answer.status_code for answer in answers) == [202, 400, 400, 400, 400, 400]
    assert len(await attached(volume_id)) == 1


async def test_a_server_of_ours_is_attached_for_real(
    member: Client, new_volume: New, new_server: New, attached: Any, put: Put, database: Database
) -> None:
    volume_id, server_id = await new_volume(), await new_server()
    await accepted(member, volume_id, "os-reserve")
    await accepted(member, volume_id, "os-attach", {"instance_uuid": server_id, "mountpoint": "/dev/vdb", "mode": "ro"})
    assert await status(member, volume_id) == "attaching"
    (plug,) = await attached(volume_id)
    assert (plug.server_id, plug.instance_id, plug.mode, plug.disk_index) == (server_id, None, "ro", 1)
    (op,) = await database.read(lambda tx: tx.execute(sa.select(operation)).all())
    assert (op.kind, op.id) == ("volume_attach", plug.operation_id)
    await refused(member, volume_id, "os-detach", {})  # it is being attached

    await put("attachment", plug.id, status="attached", attached_at=1)
    await put("volume", volume_id, status="in-use")
    (one,) = (await shown(member, volume_id))["attachments"]
    assert (one["server_id"], one["device"], one["attachment_id"]) == (server_id, "/dev/vdb", plug.id)

    await accepted(member, volume_id, "os-begin_detaching")
    await accepted(member, volume_id, "os-detach", {"attachment_id": plug.id})
    kinds = sa.select(operation.c.kind).order_by(operation.c.created_at)
    assert await database.read(lambda tx: list(tx.execute(kinds).scalars())) == ["volume_attach", "volume_detach"]
    (plug,) = await attached(volume_id)
    assert plug.status == "detaching"
    assert (await status(member, volume_id), plug.operation_id is not None) == ("detaching", True)
    await refused(member, volume_id, "os-detach", {})


async def test_a_server_that_cannot_is_a_conflict(member: Client, new_volume: New, new_server: New) -> None:
    volume_id, server_id = await new_volume(), await new_server(status="BUILD")
    target = {"instance_uuid": server_id, "mountpoint": "/dev/vdb"}
    await refused(member, volume_id, "os-attach", target, code=409)
    await accepted(member, volume_id, "os-reserve")
    await refused(member, volume_id, "os-attach", target, code=409)


async def test_another_projects_server_is_an_instance_like_any_other(
    member: Client, new_volume: New, new_server: New, attached: Any
) -> None:
    volume_id, server_id = await new_volume(), await new_server(OTHER)
    await accepted(member, volume_id, "os-attach", {"instance_uuid": server_id, "mountpoint": "/dev/vdb"})
    (one,) = await attached(volume_id)
    assert (one.server_id, one.instance_id) == (None, server_id)


async def test_a_root_disk_is_not_detached(
    member: Client, new_volume: New, new_server: New, database: Database
) -> None:
    volume_id, server_id = await new_volume(status="in-use"), await new_server()
    values: dict[str, Any] = {"project_id": PROJECT, "volume_id": volume_id, "server_id": server_id}
    values |= {"status": "attached", "disk_index": 0, "is_root": True, "generation": 1}
    await database.write(lambda tx: attachments.add(tx, ELSEWHERE, **values))
    assert "root disk" in await refused(member, volume_id, "os-detach", {})


async def test_a_read_only_volume_is_attached_read_only(member: Client, new_volume: New, attached: Any) -> None:
    volume_id = await new_volume(readonly=True)
    target = {"host_name": "h", "mountpoint": "vdb"}
    assert "Invalid attaching mode 'rw'" in await refused(member, volume_id, "os-attach", target)
    await accepted(member, volume_id, "os-attach", {**target, "mode": "ro"})
    assert [one.mode for one in await attached(volume_id)] == ["ro"]


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("os-attach", {"mountpoint": "vdb"}, "instance_uuid or host_name"),
        ("os-attach", {"host_name": "h"}, "mountpoint"),
        ("os-attach", {"host_name": "h", "mountpoint": ""}, "mountpoint"),
        ("os-attach", {"host_name": "h", "mountpoint": "vdb", "mode": "rx"}, "mode"),
        ("os-attach", {"host_name": "h" * 256, "mountpoint": "vdb"}, "host_name"),
        ("os-attach", {"instance_uuid": "one", "mountpoint": "vdb"}, "instance_uuid"),
        ("os-attach", {"host_name": "h", "mountpoint": "vdb", "more": 1}, "more"),
        ("os-attach", None, "os-attach"),
        ("os-detach", {"attachment_id": "one"}, "attachment_id"),
        ("os-detach", {"more": 1}, "more"),
        ("os-initialize_connection", {}, "connector"),
        ("os-terminate_connection", {}, "connector"),
    ],
)
async def test_a_body_that_is_not_right(member: Client, new_volume: New, action: str, body: Any, field: str) -> None:
    assert field in await refused(member, await new_volume(), action, body)


async def test_an_attachment_that_is_not_the_volumes(member: Client, new_volume: New) -> None:
    one, two = await new_volume(), await new_volume()
    await accepted(member, one, "os-attach", {"host_name": "h", "mountpoint": "vdb"})
    (attachment,) = (await shown(member, one))["attachments"]
    for volume_id in (one, two):
        await refused(member, volume_id, "os-detach", {"attachment_id": ELSEWHERE}, code=404)
    await refused(member, two, "os-detach", {"attachment_id": attachment["attachment_id"]}, code=404)


@pytest.mark.parametrize("state", ["creating", "deleting", "error", "maintenance", "awaiting-transfer", "extending"])
async def test_in_other_states_nothing_begins(member: Client, new_volume: New, state: str) -> None:
    volume_id = await new_volume(status=state, operation_id="o" if state.endswith("ing") else None)
    await refused(member, volume_id, "os-reserve")
    await refused(member, volume_id, "os-begin_detaching")
    await refused(member, volume_id, "os-attach", {"host_name": "h", "mountpoint": "vdb"})


async def test_in_maintenance_nothing_is_detached(member: Client, admin: Client, new_volume: New, put: Put) -> None:
    volume_id = await new_volume()
    await accepted(member, volume_id, "os-attach", {"host_name": "h", "mountpoint": "vdb"})
    await put("volume", volume_id, status="maintenance")
    assert "maintenance" in await refused(member, volume_id, "os-detach", {})
    assert "maintenance" in await refused(admin, volume_id, "os-initialize_connection", {"connector": {}})


async def test_an_error_outlives_the_attachment(member: Client, new_volume: New, put: Put, attached: Any) -> None:
    volume_id = await new_volume()
    await accepted(member, volume_id, "os-attach", {"host_name": "h", "mountpoint": "vdb"})
    await put("volume", volume_id, status="error_extending")
    await accepted(member, volume_id, "os-detach", {})
    assert (await status(member, volume_id), await attached(volume_id)) == ("error_extending", [])


async def test_while_an_operation_owns_it_a_volume_keeps_its_attachment(
    member: Client, new_volume: New, put: Put
) -> None:
    volume_id = await new_volume()
    await accepted(member, volume_id, "os-attach", {"host_name": "h", "mountpoint": "vdb"})
    await put("volume", volume_id, status="extending", operation_id="o")
    assert "is extending" in await refused(member, volume_id, "os-detach", {})


async def test_how_a_disk_is_reached(member: Client, admin: Client, new_volume: New, new_server: New) -> None:
    volume_id = await new_volume()
    asked = {"connector": {"host": "h", "initiator": "iqn.2000-01.org.example:h", "enforce_multipath": True}}
    await accepted(member, volume_id, "os-reserve")
    answer = await act(admin, volume_id, "os-initialize_connection", asked)
    assert answer.status_code == 200
    assert answer.json() == {
        "connection_info": {
            "driver_volume_type": "qcow2",
            "data": {
                "pool": "local",
                "name": f"snf-vol-{volume_id}",
                "access_mode": "rw",
                "encrypted": False,
                "qos_specs": None,
                "cacheable": False,
                "enforce_multipath": True,
            },
            "enforce_multipath": True,
        }
    }
    assert await status(member, volume_id) == "attaching"
    assert "admins" in await refused(member, volume_id, "os-initialize_connection", asked, code=403)
    await accepted(member, volume_id, "os-terminate_connection", asked)
    assert await status(member, volume_id) == "available"

    server_id = await new_server()
    await accepted(member, volume_id, "os-attach", {"instance_uuid": server_id, "mountpoint": "/dev/vdb"})
    assert "through that" in await refused(admin, volume_id, "os-initialize_connection", asked)
    text = await refused(member, volume_id, "os-terminate_connection", asked, code=409)
    assert f"instance {server_id} using the Compute API" in text


async def test_a_service_knows_where_disks_are(speaking_as: As, new_volume: New) -> None:
    service, volume_id = speaking_as(PROJECT, "member", "service"), await new_volume()
    assert (await act(service, volume_id, "os-initialize_connection", {"connector": {}})).status_code == 200
    await accepted(service, volume_id, "os-attach", {"host_name": "h", "mountpoint": "vdb"})
    assert (await shown(service, volume_id))["attachments"][0]["host_name"] == "h"


async def test_a_reader_only_reads(speaking_as: As, new_volume: New) -> None:
    reader, volume_id = speaking_as(PROJECT, "reader"), await new_volume()
    for action in ("os-reserve", "os-unreserve", "os-begin_detaching", "os-roll_detaching"):
        await refused(reader, volume_id, action, code=403)
