"""/servers: what is asked for, what comes back, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.compute.conftest import BASE, NOBODY, OTHER, PROJECT, As, Client, Put

from cyclades.model.nics import NETWORK_ID
from cyclades.model.units import GIB
from cyclades.store.database import Database
from cyclades.store.schema import attachment, operation, server, volume

Usage = Callable[[], Awaitable[dict[str, int]]]
New = Callable[..., Awaitable[str]]


async def ask(client: Client, **body: Any) -> Any:
    return await client.post(
        f"{BASE}/servers", json={"server": {"name": "one", "flavorRef": "1", "networks": "auto", **body}}
    )


async def show(client: Client, server_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{BASE}/servers/{server_id}")).json()["server"]
    return found


async def test_a_server_from_an_image_is_accepted(
    member: Client, admin: Client, image_id: str, usage: Usage, database: Database
) -> None:
    answer = await ask(member, imageRef=image_id, metadata={"a": "b"}, description="mine")
    assert answer.status_code == 202
    made = answer.json()["server"]
    assert set(made) == {"id", "links", "OS-DCF:diskConfig", "security_groups", "adminPass"}
    shown = await show(member, made["id"])
    assert (shown["status"], shown["OS-EXT-STS:task_state"], shown["OS-EXT-STS:vm_state"]) == (
        "BUILD",
        "spawning",
        "building",
    )
    assert shown["image"]["id"] == image_id
    assert shown["image"]["properties"] == {"os_distro": "debian"}
    assert shown["flavor"]["original_name"] == "small"
    assert shown["metadata"] == {"a": "b"}
    assert shown["description"] == "mine"
    assert shown["os-extended-volumes:volumes_attached"] == []
    assert [(a["OS-EXT-IPS:type"], a["version"]) for a in shown["addresses"]["cyclades"]] == [
        ("fixed", 4),
        ("floating", 4),
    ]
    assert not any(key.startswith("OS-EXT-SRV-ATTR:h") for key in shown if key != "OS-EXT-SRV-ATTR:hostname")
    assert "OS-EXT-SRV-ATTR:host" in await show(admin, made["id"])
    assert await usage() == {"servers": 1, "cores": 2, "ram": 512, "cyclades.disk": 4 * GIB}
    root = (await database.read(lambda tx: tx.execute(sa.select(volume)).all()))[0]
    assert (root.status, root.size, root.consumes_quota, root.generation) == ("creating", 4, False, 1)
    plug = (await database.read(lambda tx: tx.execute(sa.select(attachment)).all()))[0]
    assert (plug.disk_index, plug.is_root, plug.delete_on_termination, plug.status) == (0, True, True, "attaching")
    assert plug.operation_id == root.operation_id


async def test_several_volumes(
    member: Client, image_id: str, new_volume: New, usage: Usage, database: Database
) -> None:
    existing = await new_volume(bootable=True)
    mapping = [
        {"source_type": "blank", "destination_type": "volume", "volume_size": 3, "boot_index": -1},
        {"source_type": "volume", "destination_type": "volume", "uuid": existing, "boot_index": "0"},
        {"source_type": "image", "destination_type": "volume", "uuid": image_id, "size": "2", "boot_index": None},
    ]
    answer = await ask(member, block_device_mapping_v2=mapping, imageRef="")
    assert answer.status_code == 202, answer.text
    shown = await show(member, answer.json()["server"]["id"])
    assert shown["image"] == ""
    attached = shown["os-extended-volumes:volumes_attached"]
    assert attached[0] == {"id": existing, "delete_on_termination": False}
    assert [one["delete_on_termination"] for one in attached] == [False, True, True]
    found = {row.id: row for row in await database.read(lambda tx: tx.execute(sa.select(volume)).all())}
    assert [(found[one["id"]].size, found[one["id"]].status) for one in attached] == [
        (1, "attaching"),
        (3, "creating"),
        (2, "creating"),
    ]
    assert (await usage())["volumes"] == 2
    assert len(await database.read(lambda tx: tx.execute(sa.select(operation)).all())) == 1


async def test_what_the_openstack_client_sends_for_a_plain_boot(member: Client, image_id: str) -> None:
    mapping = [{"uuid": image_id, "boot_index": 0, "source_type": "image", "destination_type": "local",
                "delete_on_termination": True},
               {"source_type": "blank", "destination_type": "volume", "volume_size": 1}]  # fmt: skip
    answer = await ask(member, imageRef=image_id, block_device_mapping_v2=mapping)
    assert answer.status_code == 202, answer.text
    shown = await show(member, answer.json()["server"]["id"])
    assert shown["image"]["id"] == image_id
    assert len(shown["os-extended-volumes:volumes_attached"]) == 1


@pytest.mark.parametrize(
    "mapping",
    [
        [{"source_type": "blank", "destination_type": "volume", "volume_size": 1, "boot_index": 0}],
        [{"source_type": "blank", "destination_type": "volume", "boot_index": -1}],
        [{"source_type": "blank", "destination_type": "local", "volume_size": 1}],
        [{"source_type": "volume", "destination_type": "volume", "uuid": NOBODY, "boot_index": 0}],
        [{"source_type": "volume", "destination_type": "volume", "boot_index": 0}],
        [{"source_type": "image", "destination_type": "volume", "uuid": NOBODY, "volume_size": 2, "boot_index": 0}],
        [{"source_type": "image", "destination_type": "volume", "uuid": "IMAGE", "boot_index": 0}],
        [{"source_type": "image", "destination_type": "volume", "uuid": "IMAGE", "boot_index": 0, "volume_size": 1}],
        [{"source_type": "image", "destination_type": "volume", "uuid": "IMAGE", "boot_index": 0, "volume_size": 2,
          "size": 3}],
        [{"source_type": "image", "destination_type": "volume", "uuid": "IMAGE", "boot_index": 0, "volume_size": 2,
          "colour": "red"}],
        [{"source_type": "image", "destination_type": "volume", "uuid": "IMAGE", "boot_index": 0, "volume_size": 2,
          "disk_bus": "ide"}],
        [{"source_type": "image", "destination_type": "volume", "uuid": "IMAGE", "boot_index": "first"}],
        [{"source_type": "image", "destination_type": "local", "uuid": "IMAGE", "boot_index": 0}],
        [{"source_type": "blank", "destination_type": "volume", "volume_size": 1}],
        [],
    ],
)  # fmt: skip
async def test_mappings_that_are_refused(
    member: Client, image_id: str, usage: Usage, mapping: list[dict[str, Any]]
) -> None:
    filled = [{key: image_id if value == "IMAGE" else value for key, value in one.items()} for one in mapping]
    answer = await ask(member, block_device_mapping_v2=filled, imageRef="")
    assert answer.status_code == 400, answer.text
    assert await usage() == {}
    assert (await member.get(f"{BASE}/servers")).json() == {"servers": []}


async def test_bodies_that_are_refused(member: Client, image_id: str) -> None:
    for wrong in (
        {"imageRef": NOBODY},
        {"imageRef": "not an id"},
        {"flavorRef": "9"},
        {"name": ""},
        {"name": "x" * 256},
        {"name": "a\u0007b"},
        {"name": "a\u0000b"},
        {"colour": "red"},
        {"key_name": "missing"},
        {"networks": [{"uuid": NOBODY}]},
        {"networks": "some"},
        {"security_groups": [{"name": "web"}]},
        {"user_data": "not base64!"},
        {"user_data": "A"},
        {"user_data": "AAA"},
        {"availability_zone": "mars"},
        {"metadata": {"a": 1}},
        {"min_count": 0},
        {"min_count": 3, "max_count": 2},
        {"personality": [{"path": "/a", "contents": ""}]},
    ):
        answer = await ask(member, **{"imageRef": image_id, **wrong})
        assert answer.status_code == 400, (wrong, answer.text)
        assert set(answer.json()) == {"badRequest"}


async def test_the_image_must_fit_the_flavor(member: Client, admin: Client, image_id: str, database: Database) -> None:
    for flavor_id, disk, ram, code in (("tiny", 1, 512, 400), ("any", 0, 512, 202)):
        made = {"flavor": {"id": flavor_id, "name": flavor_id, "ram": ram, "vcpus": 1, "disk": disk}}
        assert (await admin.post(f"{BASE}/flavors", json=made)).status_code == 200
        assert (await ask(member, imageRef=image_id, flavorRef=flavor_id)).status_code == code
    assert (await database.read(lambda tx: tx.execute(sa.select(volume.c.size)).scalars().all())) == [2]


async def test_a_quota_that_would_be_passed(member: Client, admin: Client, image_id: str, usage: Usage) -> None:
    limits = {"quota_set": {"cores": 3}}
    assert (await admin.put(f"{BASE}/os-quota-sets/{PROJECT}", json=limits)).status_code == 200
    assert (await ask(member, imageRef=image_id)).status_code == 202
    before = await usage()
    answer = await ask(member, imageRef=image_id)
    assert answer.status_code == 403
    assert "cores" in answer.json()["forbidden"]["message"]
    assert await usage() == before


async def test_several_servers_by_one_request(member: Client, image_id: str) -> None:
    answer = await ask(member, imageRef=image_id, min_count=1, max_count=3)
    assert answer.status_code == 202
    found = (await member.get(f"{BASE}/servers/detail")).json()["servers"]
    assert sorted(one["name"] for one in found) == ["one-1", "one-2", "one-3"]
    assert len({one["addresses"]["cyclades"][0]["addr"] for one in found}) == 3


async def test_networks(member: Client, image_id: str) -> None:
    none = await ask(member, imageRef=image_id, networks="none")
    assert (await show(member, none.json()["server"]["id"]))["addresses"] == {}
    ours = await ask(member, imageRef=image_id, networks=[{"uuid": NETWORK_ID}])
    assert "cyclades" in (await show(member, ours.json()["server"]["id"]))["addresses"]
    ips = (await member.get(f"{BASE}/servers/{ours.json()['server']['id']}/ips")).json()["addresses"]
    assert set(ips["cyclades"][0]) == {"addr", "version"}


async def test_a_number_of_a_deleted_server_is_used_again(member: Client, image_id: str, put: Put) -> None:
    first, second = [(await ask(member, imageRef=image_id)).json()["server"]["id"] for _ in range(2)]
    address = (await show(member, first))["addresses"]
    await put("server", first, deleted_at=1)
    third = (await ask(member, imageRef=image_id)).json()["server"]["id"]
    assert (await show(member, third))["addresses"] == address
    assert (await show(member, second))["addresses"] != address


async def test_a_list_names_filters_and_pages(member: Client, stranger: Client, admin: Client, image_id: str) -> None:
    for name in ("web1", "web2", "db"):
        assert (await ask(member, imageRef=image_id, name=name)).status_code == 202

    async def names(client: Client, query: str) -> list[str]:
        answer = await client.get(f"{BASE}/servers?{query}")
        assert answer.status_code == 200, answer.text
        return [one["name"] for one in answer.json()["servers"]]

    assert await names(member, "") == ["db", "web2", "web1"]
    assert await names(member, "name=web") == ["web2", "web1"]
    assert await names(member, "name=%5Eweb1%24") == ["web1"]
    assert await names(member, "status=ACTIVE") == []
    assert await names(member, "status=build&sort_key=display_name&sort_dir=asc") == ["db", "web1", "web2"]
    assert await names(stranger, "") == []
    assert (await stranger.get(f"{BASE}/servers?all_tenants=1")).status_code == 403
    other_admin = await admin.get(f"{BASE}/servers?all_tenants=1&project_id={OTHER}")
    assert other_admin.json() == {"servers": []}
    for everything in ("all_tenants=1", "all_tenants=", "all_tenants=True"):
        assert len(await names(admin, everything)) == 3
    page = (await member.get(f"{BASE}/servers?limit=2")).json()
    assert [one["name"] for one in page["servers"]] == ["db", "web2"]
    following = (await member.get(page["servers_links"][0]["href"])).json()
    assert [one["name"] for one in following["servers"]] == ["web1"]
    assert "servers_links" not in following
    answer = await member.get(f"{BASE}/servers?marker=nobody")
    assert (answer.status_code, answer.json()["badRequest"]["message"]) == (400, "marker [nobody] not found")
    assert (await member.get(f"{BASE}/servers?colour=red")).status_code == 400
    assert await names(member, "changes-since=2020-01-01T00:00:00Z") == ["db", "web2", "web1"]


async def test_a_list_in_detail_takes_a_constant_number_of_queries(
    member: Client, image_id: str, database: Database
) -> None:
    counted: list[str] = []

    def count(*args: Any) -> None:
        counted.append(args[2])

    async def queries() -> int:
        counted.clear()
        assert (await member.get(f"{BASE}/servers/detail")).status_code == 200
        return len(counted)

    await ask(member, imageRef=image_id)
    sa.event.listen(sa.engine.Engine, "before_cursor_execute", count)
    try:
        few = await queries()
        for _ in range(5):
            await ask(member, imageRef=image_id)
        assert await queries() == few
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", count)


async def test_fields_appear_with_their_microversion(speaking_as: As, image_id: str) -> None:
    made = (await ask(speaking_as(), imageRef=image_id)).json()["server"]["id"]
    for minor, field in ((9, "locked"), (19, "description"), (26, "tags"), (63, "trusted_image_certificates"),
                         (71, "server_groups"), (73, "locked_reason"), (90, "OS-EXT-SRV-ATTR:hostname"),
                         (96, "pinned_availability_zone"), (100, "scheduler_hints")):  # fmt: skip
        assert field in await show(speaking_as(version=f"2.{minor}"), made)
        assert field not in await show(speaking_as(version=f"2.{minor - 1}"), made)
    assert set((await show(speaking_as(version="2.46"), made))["flavor"]) == {"id", "links"}


async def test_the_older_header_chooses_the_version(speaking_as: As) -> None:
    client = speaking_as()
    del client.headers["openstack-api-version"]
    answer = await client.get(f"{BASE}/servers", headers={"X-OpenStack-Nova-API-Version": "2.47"})
    assert answer.headers["openstack-api-version"] == "compute 2.47"
    assert answer.headers["x-openstack-nova-api-version"] == "2.47"
    assert (await speaking_as(version="2.102").get(f"{BASE}/servers")).status_code == 406


async def test_an_update(member: Client, image_id: str, speaking_as: As) -> None:
    made = (await ask(member, imageRef=image_id)).json()["server"]["id"]
    answer = await member.put(f"{BASE}/servers/{made}", json={"server": {"name": "two", "description": None}})
    assert answer.status_code == 200
    assert answer.json()["server"]["name"] == "two"
    assert "key_name" in answer.json()["server"]
    old = await speaking_as(version="2.1").put(f"{BASE}/servers/{made}", json={"server": {"accessIPv4": "10.0.0.1"}})
    assert old.json()["server"]["accessIPv4"] == "10.0.0.1"
    assert "key_name" not in old.json()["server"]
    assert (await member.put(f"{BASE}/servers/{made}", json={"server": {"status": "ACTIVE"}})).status_code == 400


async def test_metadata(member: Client, image_id: str) -> None:
    made = (await ask(member, imageRef=image_id, metadata={"a": "b"})).json()["server"]["id"]
    path = f"{BASE}/servers/{made}/metadata"
    assert (await member.post(path, json={"metadata": {"c": "d"}})).json() == {"metadata": {"a": "b", "c": "d"}}
    assert (await member.put(f"{path}/a", json={"meta": {"a": "z"}})).json() == {"meta": {"a": "z"}}
    assert (await member.put(f"{path}/a", json={"meta": {"b": "z"}})).status_code == 400
    assert (await member.delete(f"{path}/c")).status_code == 204
    assert (await member.delete(f"{path}/c")).status_code == 404
    assert (await member.get(f"{path}/a")).json() == {"meta": {"a": "z"}}
    assert (await member.put(path, json={"metadata": {}})).json() == {"metadata": {}}


async def test_only_the_project_reaches_it(member: Client, stranger: Client, image_id: str, speaking_as: As) -> None:
    made = (await ask(member, imageRef=image_id)).json()["server"]["id"]
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/metadata"), ("GET", "/os-volume_attachments")):
        assert (await stranger.request(method, f"{BASE}/servers/{made}{path}")).status_code == 404
    assert (await speaking_as(PROJECT, "reader").delete(f"{BASE}/servers/{made}")).status_code == 403
    assert (await speaking_as(PROJECT, "reader").get(f"{BASE}/servers/{made}")).status_code == 200
    assert (await member.get(f"{BASE}/servers/not-an-id")).status_code == 404


async def test_deletion_is_accepted_in_any_state_and_once(member: Client, image_id: str, database: Database) -> None:
    made = (await ask(member, imageRef=image_id)).json()["server"]["id"]
    for _ in range(2):
        assert (await member.delete(f"{BASE}/servers/{made}")).status_code == 204
    assert (await show(member, made))["OS-EXT-STS:task_state"] == "deleting"
    found = await database.read(lambda tx: tx.execute(sa.select(operation).order_by(operation.c.created_at)).all())
    assert [(row.kind, row.cancelled) for row in found] == [("server_create", True), ("server_delete", False)]
    body = {"os-start": None}
    assert (await member.post(f"{BASE}/servers/{made}/action", json=body)).status_code == 409


async def test_a_locked_server_is_refused_to_its_users(
    member: Client, admin: Client, new_server: New, put: Put
) -> None:
    made = await new_server()
    await put("server", made, locked=True)
    assert (await member.delete(f"{BASE}/servers/{made}")).status_code == 409
    assert (await member.post(f"{BASE}/servers/{made}/action", json={"os-stop": None})).status_code == 409
    assert (await admin.delete(f"{BASE}/servers/{made}")).status_code == 204


async def test_actions(member: Client, new_server: New, put: Put) -> None:
    made = await new_server()
    path = f"{BASE}/servers/{made}/action"
    assert (await member.post(path, json={"os-start": None})).status_code == 409
    assert (await member.post(path, json={"reboot": {"type": "SOFT"}})).status_code == 202
    assert (await show(member, made))["status"] == "REBOOT"
    assert (await member.post(path, json={"os-stop": None})).status_code == 409
    await put("server", made, status="SHUTOFF", task_state=None)
    assert (await member.post(path, json={"reboot": {"type": "SOFT"}})).status_code == 409
    assert (await member.post(path, json={"os-start": None})).status_code == 202
    assert (await show(member, made))["OS-EXT-STS:task_state"] == "powering-on"
    wrong_ones: list[dict[str, Any]] = [
        {"reboot": {"type": "SIDEWAYS"}},
        {"reboot": {}},
        {"jump": None},
        {},
        {"os-start": None, "os-stop": None},
    ]
    for wrong in wrong_ones:
        assert (await member.post(path, json=wrong)).status_code == 400


async def test_an_error_shows_its_fault(member: Client, image_id: str, put: Put) -> None:
    made = (await ask(member, imageRef=image_id)).json()["server"]["id"]
    await put("server", made, status="ERROR", task_state=None, reason="The pool is full.")
    shown = await show(member, made)
    assert shown["fault"]["message"] == "The pool is full."
    assert "progress" not in shown
    path = f"{BASE}/servers/{made}/action"
    await put("server", made, status="ERROR", task_state=None)
    assert (await member.post(path, json={"os-start": None})).status_code == 409


async def test_user_data_and_hostname_are_kept(member: Client, image_id: str, database: Database) -> None:
    data = base64.b64encode(b"#!/bin/sh\n").decode()
    answer = await ask(member, imageRef=image_id, user_data=data, name="My Server_1!")
    assert answer.status_code == 202
    row = await database.read(lambda tx: tx.execute(sa.select(server)).one())
    assert (row.user_data, row.hostname) == (data, "my-server-1")
    named = await ask(member, imageRef=image_id, hostname="chosen")
    assert (await show(member, named.json()["server"]["id"]))["OS-EXT-SRV-ATTR:hostname"] == "chosen"
