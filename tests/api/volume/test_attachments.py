"""/attachments"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.api.volume.conftest import OTHER, PROJECT, As, Client, New

from cyclades.model import capabilities
from cyclades.model.caller import Caller
from cyclades.model.errors import WrongState
from cyclades.operations import volume_attach
from cyclades.operations.base import new_id
from cyclades.store import attachments, volume_types
from cyclades.store.database import Database

BASE = "/volume/v3"
HERE, ELSEWHERE = "11111111-2222-4333-8444-555555555555", "22222222-2222-4333-8444-555555555555"
CONNECTOR = {
    "host": "compute-1",
    "mountpoint": "/dev/vdc",
    "initiator": "iqn.2000-01.org.example:1",
    "multipath": False,
}
Put = Callable[..., Any]


async def post(client: Client, volume_id: str, **asked: Any) -> Any:
    return await client.post(f"{BASE}/attachments", json={"attachment": {"volume_uuid": volume_id, **asked}})


async def make(client: Client, volume_id: str, **asked: Any) -> dict[str, Any]:
    answer = await post(client, volume_id, **asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["attachment"]
    return found


async def put_connector(client: Client, attachment_id: str, **connector: Any) -> Any:
    body = {"attachment": {"connector": {**CONNECTOR, **connector}}}
    return await client.put(f"{BASE}/attachments/{attachment_id}", json=body)


async def complete(client: Client, attachment_id: str) -> Any:
    return await client.post(f"{BASE}/attachments/{attachment_id}/action", json={"os-complete": None})


async def made(client: Client, volume_id: str, **asked: Any) -> str:
    """An attachment that is complete."""
    attachment_id = (await make(client, volume_id, connector=CONNECTOR, **asked))["id"]
    assert (await complete(client, attachment_id)).status_code == 204
    return str(attachment_id)


async def delete(client: Client, attachment_id: str) -> Any:
    return await client.delete(f"{BASE}/attachments/{attachment_id}")


async def show(client: Client, attachment_id: str) -> dict[str, Any]:
    answer = await client.get(f"{BASE}/attachments/{attachment_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["attachment"]
    return found


async def listed(client: Client, query: str = "", *, detail: bool = False) -> list[dict[str, Any]]:
    answer = await client.get(f"{BASE}/attachments{'/detail' if detail else ''}{query}")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"attachments"}
    found: list[dict[str, Any]] = answer.json()["attachments"]
    return found


async def volume(client: Client, volume_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{BASE}/volumes/{volume_id}")).json()["volume"]
    return found


def refused(answer: Any, code: int, *words: str) -> None:
    assert answer.status_code == code, answer.text
    (fault,) = answer.json().values()
    for word in words:
        assert word in fault["message"]


@pytest.fixture
def plugged(database: Database, new_volume: New, new_server: New) -> Callable[[], Awaitable[tuple[str, str, str]]]:
    """A server of ours that has a volume: the attachment's id, the server's, the volume's."""

    async def add() -> tuple[str, str, str]:
        volume_id, server_id, attachment_id = await new_volume(status="in-use"), await new_server(), new_id()
        values: dict[str, Any] = {"project_id": PROJECT, "volume_id": volume_id, "server_id": server_id}
        values |= {"status": "attached", "attached_at": 1_700_000_000_000_000}
        values |= {"disk_index": 1, "device": "/dev/sdb", "generation": 1}
        await database.write(lambda tx: attachments.add(tx, attachment_id, host_name="local", **values))
        return attachment_id, server_id, volume_id

    return add


async def test_the_life_of_an_attachment(member: Client, admin: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    one = await make(member, volume_id, instance_uuid=HERE)
    assert one == {
        "id": one["id"],
        "status": "reserved",
        "instance": HERE,
        "volume_id": volume_id,
        "attached_at": "",
        "detached_at": "",
        "attach_mode": "null",
        "connection_info": {},
    }
    assert await show(member, one["id"]) == one
    assert (await volume(member, volume_id))["status"] == "reserved"
    assert (await volume(member, volume_id))["attachments"] == []

    answer = await put_connector(admin, one["id"])
    assert answer.status_code == 200
    two = answer.json()["attachment"]
    assert two["attached_at"]
    assert two == one | {
        "status": "attaching",
        "attached_at": two["attached_at"],
        "attach_mode": "rw",
        "connection_info": {
            "driver_volume_type": "qcow2",
            "pool": "local",
            "name": f"snf-vol-{volume_id}",
            "access_mode": "rw",
            "encrypted": False,
            "qos_specs": None,
            "cacheable": False,
            "attachment_id": one["id"],
            "enforce_multipath": False,
        },
    }
    assert (await show(member, one["id"]))["connection_info"] == {}
    assert (await volume(member, volume_id))["status"] == "attaching"

    for _ in range(2):  # repeated, it is complete still
        answer = await complete(member, one["id"])
        assert (answer.status_code, answer.content) == (204, b"")
    assert await show(admin, one["id"]) == two | {"status": "attached"}
    found = await volume(admin, volume_id)
    assert found["status"] == "in-use"
    assert found["attachments"] == [
        {
            "id": volume_id,
            "attachment_id": one["id"],
            "volume_id": volume_id,
            "server_id": HERE,
            "host_name": "compute-1",
            "device": "/dev/vdc",
            "attached_at": two["attached_at"],
        }
    ]
    refused(await member.delete(f"{BASE}/volumes/{volume_id}"), 400, "is attached")

    answer = await delete(member, one["id"])
    assert (answer.status_code, answer.json()) == (200, {"attachments": []})
    refused(await member.get(f"{BASE}/attachments/{one['id']}"), 404)
    refused(await delete(member, one["id"]), 404)
    assert (await volume(member, volume_id))["status"] == "available"


async def test_reserved_and_connected_in_one_request(member: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    one = await make(member, volume_id, connector={**CONNECTOR, "mode": "ro"})
    assert (one["status"], one["attach_mode"], one["instance"]) == ("attaching", "ro", None)
    assert (await volume(member, volume_id))["status"] == "attaching"
    assert (await delete(member, one["id"])).status_code == 200
    assert (await volume(member, volume_id))["status"] == "available"


async def test_an_empty_connector_is_none(member: Client, new_volume: New) -> None:
    assert (await make(member, await new_volume(), connector={}))["status"] == "reserved"
    assert (await make(member, await new_volume(), connector=None))["status"] == "reserved"


async def test_a_reserved_attachment_is_completed_without_a_connector(member: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    one = await make(member, volume_id, instance_uuid=HERE)
    assert (await complete(member, one["id"])).status_code == 204
    assert (await show(member, one["id"]))["attached_at"]
    assert (await volume(member, volume_id))["status"] == "in-use"


async def test_of_two_who_reserve_at_once_one_wins(member: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    answers = await asyncio.gather(*(post(member, volume_id, instance_uuid=new_id()) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400, 400]
    refused(max(answers, key=lambda answer: answer.status_code), 400, "must be available to reserve")
    assert len(await listed(member)) == 1


async def test_what_a_client_has_no_server_of_ours_gets(
    member: Client, new_volume: New, new_server: New, database: Database
) -> None:
    caller = Caller("u" * 32, PROJECT, frozenset({"member"}), "req-1")
    volume_id, server_id = await new_volume(), await new_server()
    one = await make(member, volume_id, instance_uuid=server_id)
    for go_on in (put_connector, complete, None):
        with pytest.raises(WrongState):
            await database.write(lambda tx: volume_attach.start(tx, caller, server_id, volume_id))
        if go_on is not None:
            assert (await go_on(member, one["id"])).status_code < 300
    assert (await delete(member, one["id"])).status_code == 200  # its instance is ours, the attachment is the client's
    await database.write(lambda tx: volume_attach.start(tx, caller, server_id, volume_id))


async def test_what_a_server_of_ours_has_is_shown_and_left_alone(member: Client, admin: Client, plugged: Any) -> None:
    attachment_id, server_id, volume_id = await plugged()
    brief = {"id": attachment_id, "status": "attached", "instance": server_id, "volume_id": volume_id}
    assert await listed(member) == [brief]
    (one,) = await listed(admin, detail=True)
    assert one["attached_at"] == "2023-11-14T22:13:20.000000"
    assert one["attach_mode"] == "rw"
    assert one["connection_info"]["name"] == f"snf-vol-{volume_id}"
    for client in (member, admin):
        for answer in (
            await delete(client, attachment_id),
            await put_connector(client, attachment_id),
            await complete(client, attachment_id),
        ):
            refused(answer, 409, f"instance {server_id} using the Compute API")
    assert await listed(member) == [brief]
    refused(await post(member, volume_id, instance_uuid=server_id), 400, "it is in-use")


async def test_an_instance_moves_with_two_attachments(member: Client, new_volume: New) -> None:
    volume_id = await new_volume()
    old = await made(member, volume_id, instance_uuid=HERE)
    refused(await post(member, volume_id, instance_uuid=ELSEWHERE), 400)
    refused(await post(member, volume_id), 400)
    new = await make(member, volume_id, instance_uuid=HERE)
    assert (await volume(member, volume_id))["status"] == "in-use"
    refused(await put_connector(member, new["id"], host="compute-2"), 409, "connected already")
    answer = await delete(member, old)
    assert [left["id"] for left in answer.json()["attachments"]] == [new["id"]]
    assert (await volume(member, volume_id))["status"] == "reserved"
    assert (await put_connector(member, new["id"], host="compute-2")).status_code == 200
    assert (await complete(member, new["id"])).status_code == 204
    assert (await delete(member, new["id"])).json() == {"attachments": []}
    assert (await volume(member, volume_id))["status"] == "available"


@pytest.mark.parametrize("state", ["creating", "deleting", "error", "maintenance", "awaiting-transfer", "extending"])
async def test_in_other_states_nothing_is_reserved(member: Client, new_volume: New, state: str) -> None:
    volume_id = await new_volume(status=state, operation_id="o" if state.endswith("ing") else None)
    refused(await post(member, volume_id, instance_uuid=HERE), 400, f"is {state}")
    assert await listed(member) == []


async def test_while_the_volume_is_in_an_error(member: Client, new_volume: New, put: Put) -> None:
    volume_id = await new_volume()
    one = await make(member, volume_id)
    await put("volume", volume_id, status="error")
    refused(await put_connector(member, one["id"]), 409, "status error")
    refused(await complete(member, one["id"]), 400)
    assert (await delete(member, one["id"])).status_code == 200
    assert (await volume(member, volume_id))["status"] == "error"


async def test_while_an_operation_owns_the_volume(member: Client, new_volume: New, put: Put) -> None:
    volume_id = await new_volume()
    one = await made(member, volume_id)
    await put("volume", volume_id, status="extending", operation_id="o")
    for answer in (await put_connector(member, one), await complete(member, one), await delete(member, one)):
        refused(answer, 400, "extending")
    assert (await show(member, one))["status"] == "attached"


async def test_modes(member: Client, speaking_as: As, new_volume: New, put: Put) -> None:
    one = await make(member, await new_volume(), mode="ro", connector={**CONNECTOR, "mode": "rw"})
    assert one["attach_mode"] == "ro"
    one = await make(member, await new_volume())
    assert (await put_connector(member, one["id"], mode="ro")).json()["attachment"]["attach_mode"] == "ro"
    one = await make(member, await new_volume(readonly=True), connector=CONNECTOR)
    assert one["attach_mode"] == "ro"
    old = speaking_as(version="3.53")
    refused(await post(old, await new_volume(), mode="ro"), 400, "mode")


async def test_versions(speaking_as: As, new_volume: New) -> None:
    before, then, after = speaking_as(version="3.26"), speaking_as(version="3.27"), speaking_as(version="3.44")
    one = await make(then, await new_volume())
    for path in ("", "/detail", f"/{one['id']}"):
        assert (await before.get(f"{BASE}/attachments{path}")).status_code == 404
        assert (await then.get(f"{BASE}/attachments{path}")).status_code == 200
    refused(await post(before, await new_volume()), 404)
    refused(await put_connector(before, one["id"]), 404)
    refused(await complete(speaking_as(version="3.43"), one["id"]), 404)
    assert (await complete(after, one["id"])).status_code == 204
    refused(await delete(before, one["id"]), 404)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"volume_uuid": None}, "volume_uuid"),
        ({"volume_uuid": "one"}, "volume_uuid"),
        ({"instance_uuid": "one"}, "instance_uuid"),
        ({"connector": []}, "connector"),
        ({"connector": {"host": "h" * 256}}, "connector.host"),
        ({"connector": {"mountpoint": 1}}, "connector.mountpoint"),
        ({"connector": {"mode": "rx"}}, "connector.mode"),
        ({"mode": "null"}, "mode"),
        ({"more": 1}, "more"),
    ],
)
async def test_a_body_that_is_not_right(member: Client, new_volume: New, asked: Any, field: str) -> None:
    body = {"attachment": {"volume_uuid": await new_volume(), **asked}}
    refused(await member.post(f"{BASE}/attachments", json=body), 400, field)
    assert await listed(member) == []


async def test_a_volume_that_is_not_there_or_not_ones_own(member: Client, stranger: Client, new_volume: New) -> None:
    refused(await post(member, HERE), 404, f"Volume {HERE} could not be found")
    volume_id = await new_volume()
    refused(await post(stranger, volume_id), 404)
    one = await make(member, volume_id)
    for answer in (
        await stranger.get(f"{BASE}/attachments/{one['id']}"),
        await put_connector(stranger, one["id"]),
        await complete(stranger, one["id"]),
        await delete(stranger, one["id"]),
    ):
        refused(answer, 404)
    assert await listed(stranger) == []
    assert await show(member, one["id"]) == one


async def test_a_reader_only_reads(speaking_as: As, member: Client, new_volume: New) -> None:
    reader = speaking_as(PROJECT, "reader")
    volume_id = await new_volume()
    refused(await post(reader, volume_id), 403)
    one = await make(member, volume_id)
    assert await listed(reader, detail=True) == [one]
    refused(await put_connector(reader, one["id"]), 403)
    refused(await complete(reader, one["id"]), 403)
    refused(await delete(reader, one["id"]), 403)


async def test_lists(member: Client, admin: Client, stranger: Client, new_volume: New, plugged: Any) -> None:
    server_s, server_id, _ = await plugged()
    volumes = [await new_volume() for _ in range(3)]
    mine = [(await make(member, volume_id, instance_uuid=HERE))["id"] for volume_id in volumes[:2]]
    mine.append(await made(member, volumes[2], instance_uuid=ELSEWHERE))
    others = (await make(stranger, await new_volume(OTHER)))["id"]

    async def ids(query: str = "", client: Client = member) -> list[str]:
        return [one["id"] for one in await listed(client, query)]

    assert await ids() == [*reversed(mine), server_s]
    assert await ids(f"?volume_id={volumes[0]}") == [mine[0]]
    assert await ids("?status=attached") == [mine[2], server_s]
    assert await ids("?attach_status=reserved&sort=created_at:asc") == mine[:2]
    assert await ids(f"?instance_id={HERE}") == [mine[1], mine[0]]
    assert await ids(f"?instance_id={server_id}") == [server_s]
    assert await ids(f"?instance_id={new_id()}") == []
    # Two at a time, in both forms of going on.
    assert await ids("?limit=2&sort=id:asc") == sorted([*mine, server_s])[:2]
    assert await ids(f"?limit=2&marker={mine[1]}") == [mine[0], server_s]
    assert await ids("?limit=2&offset=3") == [server_s]
    assert await ids("?sort_key=attach_status&sort_dir=asc&limit=2") == sorted([mine[2], server_s])
    refused(await member.get(f"{BASE}/attachments?marker={others}"), 404, "marker")
    refused(await member.get(f"{BASE}/attachments?sort=mode"), 400, "mode")
    refused(await member.get(f"{BASE}/attachments?host=h"), 400, "host")

    assert await ids(client=stranger) == [others]
    assert await ids("?all_tenants=1", stranger) == [others]
    assert set(await ids("?all_tenants=1", admin)) == {*mine, server_s, others}
    assert await ids(f"?all_tenants=1&project_id={OTHER}", admin) == [others]
    assert set(await ids(client=admin)) == {*mine, server_s}


async def test_the_same_request_again_makes_nothing(member: Client, new_volume: New) -> None:
    headers, volume_id = {"Idempotency-Key": "one"}, await new_volume()
    body = {"attachment": {"volume_uuid": volume_id}}
    answers = [await member.post(f"{BASE}/attachments", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert len(await listed(member)) == 1


class TestMultiAttach:
    """No pool kind of today's offers it, so here one says that it does: everything else is as it will be."""

    @pytest.fixture(autouse=True)
    def offered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        able = {**vars(capabilities._OF_POOL["qcow2"]), "multiattach": True}
        monkeypatch.setitem(capabilities._OF_POOL, "qcow2", capabilities.Capabilities(**able))

    @pytest.fixture
    async def shared(self, admin: Client, member: Client, put: Put) -> str:
        """A volume of a type that is for several at a time."""
        body = {"volume_type": {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}}
        assert (await admin.post(f"{BASE}/types", json=body)).status_code == 200
        asked = {"volume": {"size": 1, "volume_type": "shared"}}
        found = (await member.post(f"{BASE}/volumes", json=asked)).json()["volume"]
        assert found["multiattach"] is True
        await put("volume", found["id"], status="available")
        return str(found["id"])

    async def test_several_have_it_until_the_last_one_goes(self, member: Client, shared: str) -> None:
        one = await made(member, shared, instance_uuid=HERE, mode="rw")
        two = await make(member, shared, instance_uuid=ELSEWHERE, mode="ro")
        assert (await volume(member, shared))["status"] == "reserved"
        refused(await post(member, shared, instance_uuid=new_id()), 400, "must be available or in-use to reserve")
        assert (await put_connector(member, two["id"], host="compute-2")).status_code == 200
        assert (await volume(member, shared))["status"] == "attaching"
        assert (await complete(member, two["id"])).status_code == 204
        found = await volume(member, shared)
        assert found["status"] == "in-use"
        assert {each["server_id"] for each in found["attachments"]} == {HERE, ELSEWHERE}
        assert [(await show(member, each))["attach_mode"] for each in (one, two["id"])] == ["rw", "ro"]

        assert [left["id"] for left in (await delete(member, one)).json()["attachments"]] == [two["id"]]
        assert (await volume(member, shared))["status"] == "in-use"
        assert (await delete(member, two["id"])).json() == {"attachments": []}
        assert (await volume(member, shared))["status"] == "available"

    async def test_one_that_gives_up_leaves_it_in_use(self, member: Client, shared: str) -> None:
        await made(member, shared)
        two = await make(member, shared)
        assert (await delete(member, two["id"])).status_code == 200
        assert (await volume(member, shared))["status"] == "in-use"

    async def test_of_several_that_go_at_once_the_last_one_frees_it(self, member: Client, shared: str) -> None:
        several = [await made(member, shared, instance_uuid=new_id()) for _ in range(5)]
        answers = await asyncio.gather(*(delete(member, each) for each in several))
        assert [answer.status_code for answer in answers] == [200] * 5
        assert sorted(len(answer.json()["attachments"]) for answer in answers) == [0, 1, 2, 3, 4]
        assert (await volume(member, shared))["status"] == "available"

    async def test_by_actions(self, member: Client, shared: str) -> None:
        async def act(action: str, body: Any = None) -> Any:
            return await member.post(f"{BASE}/volumes/{shared}/action", json={action: body})

        for host in ("a", "b"):
            assert (await act("os-reserve")).status_code == 202
            refused(await act("os-reserve"), 400)
            assert (await act("os-attach", {"host_name": host, "mountpoint": "vdb"})).status_code == 202
            assert (await volume(member, shared))["status"] == "in-use"
        assert (await act("os-reserve")).status_code == 202
        assert (await act("os-unreserve")).status_code == 202
        found = await volume(member, shared)
        assert found["status"] == "in-use"
        refused(await act("os-detach", {}), 400, "more than one attachment")
        for each, status in zip(found["attachments"], ("in-use", "available"), strict=True):
            assert (await act("os-detach", {"attachment_id": each["attachment_id"]})).status_code == 202
            assert (await volume(member, shared))["status"] == status


async def test_a_pool_that_does_not_offer_multi_attach_refuses_it(
    admin: Client, member: Client, database: Database
) -> None:
    specs = {"multiattach": "<is> True"}
    body = {"volume_type": {"name": "shared", "extra_specs": specs}}
    refused(await admin.post(f"{BASE}/types", json=body), 400, "does not offer multiattach")
    # Made when the pool was of another kind.
    await database.write(lambda tx: volume_types.add(tx, HERE, name="shared", is_public=True, extra_specs=specs))
    asked = {"volume": {"size": 1, "volume_type": "shared"}}
    refused(await member.post(f"{BASE}/volumes", json=asked), 400, "does not offer multiattach")
