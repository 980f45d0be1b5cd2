"""Backends as services and hypervisors; what there is none of; what servers took."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.api.compute.conftest import BASE, NOBODY, OTHER, PROJECT, As, Client, Put

from cyclades.model.units import GIB
from cyclades.store import backends, pools, services
from cyclades.store.database import Database, Tx
from cyclades.store.schema import now

New = Callable[..., Awaitable[str]]


@pytest.fixture(autouse=True)
async def found(database: Database) -> None:
    """What engines found."""

    def write(tx: Tx) -> None:
        about = {"kind": "local", "vcpus": 8, "memory": 4096, "program": "QEMU", "version": 7002001}
        backends.report(tx, "local", booted_at=now() - 90_000_000_000, **about)
        pools.report(tx, "local", engine="qcow2", total=10 * GIB, free=4 * GIB, promised=20 * GIB)
        services.seen(tx, "h:1:a", host="h", kind="engine", version="1")

    await database.write(write)


async def service(admin: Client) -> Any:
    (one,) = (await admin.get(f"{BASE}/os-services?binary=nova-compute&host=local")).json()["services"]
    return one


async def test_services(admin: Client, speaking_as: As) -> None:
    found = (await admin.get(f"{BASE}/os-services")).json()["services"]
    assert [(one["binary"], one["host"], one["state"], one["status"]) for one in found] == [
        ("nova-compute", "local", "up", "enabled"),
        ("nova-scheduler", "cyclades", "up", "enabled"),
    ]
    assert len({one["id"] for one in found}) == 2
    old = speaking_as(PROJECT, "admin", version="2.52")
    assert (await service(old))["id"] == 1
    assert (await admin.get(f"{BASE}/os-services?colour=red")).status_code == 400


async def test_a_disabled_backend_takes_no_new_servers(
    admin: Client, member: Client, image_id: str, new_server: New
) -> None:
    mine = await new_server()
    path = f"{BASE}/os-services/{(await service(admin))['id']}"
    answer = await admin.put(path, json={"status": "disabled", "disabled_reason": "new roof"})
    assert (answer.json()["service"]["status"], answer.json()["service"]["disabled_reason"]) == ("disabled", "new roof")
    asked = {"name": "two", "flavorRef": "1", "imageRef": image_id, "networks": "none"}
    answer = await member.post(f"{BASE}/servers", json={"server": asked})
    assert (answer.status_code, "new roof" in answer.text) == (400, True)
    assert (await member.post(f"{BASE}/servers/{mine}/action", json={"os-stop": None})).status_code == 202
    assert (await admin.put(path, json={"status": "enabled"})).json()["service"]["disabled_reason"] is None
    assert (await member.post(f"{BASE}/servers", json={"server": asked})).status_code == 202


async def test_services_by_name_until_2_52(speaking_as: As) -> None:
    old = speaking_as(PROJECT, "admin", version="2.52")
    named = {"host": "local", "binary": "nova-compute"}
    path = f"{BASE}/os-services"
    assert (await old.put(f"{path}/disable", json=named)).json() == {"service": {**named, "status": "disabled"}}
    assert (await service(old))["status"] == "disabled"
    with_reason = await old.put(f"{path}/disable-log-reason", json={**named, "disabled_reason": "x"})
    assert with_reason.json()["service"]["disabled_reason"] == "x"
    assert (await old.put(f"{path}/enable", json=named)).json()["service"]["status"] == "enabled"
    assert (await old.put(f"{path}/enable", json={**named, "host": "elsewhere"})).status_code == 404
    assert (await old.put(f"{path}/disable", json={"host": "cyclades", "binary": "nova-scheduler"})).status_code == 400
    assert (await old.put(f"{path}/force-down", json={**named, "forced_down": True})).status_code == 403


async def test_what_cannot_be_done_with_a_service(admin: Client, member: Client) -> None:
    path = f"{BASE}/os-services/{(await service(admin))['id']}"
    for body, code in (({}, 400), ({"disabled_reason": "x"}, 400), ({"status": "asleep"}, 400),
                       ({"forced_down": True}, 403), ({"forced_down": False}, 200)):  # fmt: skip
        assert (await admin.put(path, json=body)).status_code == code, body
    assert (await admin.put(f"{BASE}/os-services/{NOBODY}", json={"status": "disabled"})).status_code == 404
    assert (await admin.delete(path)).status_code == 409
    assert (await admin.delete(f"{BASE}/os-services/{NOBODY}")).status_code == 404
    assert (await member.get(f"{BASE}/os-services")).status_code == 403


async def test_hypervisors(admin: Client, speaking_as: As, new_server: New) -> None:
    mine = await new_server()
    (one,) = (await admin.get(f"{BASE}/os-hypervisors/detail?with_servers=true")).json()["hypervisors"]
    assert one["servers"] == [{"uuid": mine, "name": "one"}]
    assert "up 1 days, 1:00" in one["uptime"]
    assert (await admin.get(f"{BASE}/os-hypervisors/{one['id']}?with_servers=true")).json() == {"hypervisor": one}
    old = speaking_as(PROJECT, "admin", version="2.52")
    (one,) = (await old.get(f"{BASE}/os-hypervisors/detail")).json()["hypervisors"]
    assert (one["id"], one["vcpus"], one["vcpus_used"], one["memory_mb_used"], one["running_vms"]) == (1, 8, 2, 512, 1)
    assert (one["local_gb"], one["free_disk_gb"], one["local_gb_used"], one["disk_available_least"]) == (10, 4, 6, -10)
    sums = (await old.get(f"{BASE}/os-hypervisors/statistics")).json()["hypervisor_statistics"]
    assert (sums["count"], sums["vcpus_used"], sums["local_gb"]) == (1, 2, 10)
    assert "up 1 days" in (await old.get(f"{BASE}/os-hypervisors/1/uptime")).json()["hypervisor"]["uptime"]
    (one,) = (await old.get(f"{BASE}/os-hypervisors/loc/servers")).json()["hypervisors"]
    assert one["servers"][0]["uuid"] == mine
    assert len((await old.get(f"{BASE}/os-hypervisors/loc/search")).json()["hypervisors"]) == 1
    assert (await old.get(f"{BASE}/os-hypervisors/mars/search")).status_code == 404
    assert (await old.get(f"{BASE}/os-hypervisors/2")).status_code == 404


async def test_pages_of_hypervisors(admin: Client) -> None:
    assert (await admin.get(f"{BASE}/os-hypervisors?limit=1&marker={NOBODY}")).status_code == 400
    (one,) = (await admin.get(f"{BASE}/os-hypervisors?hypervisor_hostname_pattern=local")).json()["hypervisors"]
    assert (await admin.get(f"{BASE}/os-hypervisors?marker={one['id']}")).json() == {"hypervisors": []}
    assert (await admin.get(f"{BASE}/os-hypervisors?hypervisor_hostname_pattern=mars")).status_code == 404


async def test_zones_in_detail(admin: Client) -> None:
    (zone,) = (await admin.get(f"{BASE}/os-availability-zone/detail")).json()["availabilityZoneInfo"]
    state = zone["hosts"]["local"]["nova-compute"]
    assert (state["available"], state["active"]) == (True, True)


async def test_what_there_is_none_of(admin: Client, member: Client, speaking_as: As, new_server: New) -> None:
    mine = await new_server()
    for client, path, key in ((admin, "os-aggregates", "aggregates"), (member, "os-server-groups", "server_groups")):
        assert (await client.get(f"{BASE}/{path}")).json() == {key: []}
        assert (await client.get(f"{BASE}/{path}/{NOBODY}")).status_code == 404
        answer = await client.post(f"{BASE}/{path}", json={})
        assert (answer.status_code, "not-offered" in answer.text) == (403, True)
    assert (await admin.get(f"{BASE}/os-migrations")).json() == {"migrations": []}
    assert (await admin.get(f"{BASE}/servers/{mine}/migrations")).json() == {"migrations": []}
    path = f"{BASE}/servers/{mine}/os-server-password"
    assert (await member.get(path)).json() == {"password": ""}
    assert (await member.delete(path)).status_code == 204
    old = speaking_as(PROJECT, "admin", version="2.42")
    assert (await old.get(f"{BASE}/os-hosts")).json()["hosts"][0]["host_name"] == "local"
    for zone, count in (("", 1), ("nova", 1), ("other", 0)):
        assert len((await old.get(f"{BASE}/os-hosts?zone={zone}")).json()["hosts"]) == count
    assert (await admin.get(f"{BASE}/os-hosts")).status_code == 404


async def test_what_servers_took(admin: Client, member: Client, new_server: New, put: Put) -> None:
    first, second = await new_server(name="a"), await new_server(name="b")
    hour = 3600 * 1_000_000
    await put("server", first, created_at=hour, deleted_at=3 * hour, status="DELETED")
    await put("server", second, created_at=2 * hour)
    query = "start=1970-01-01T00:00:00&end=1970-01-01T04:00:00"
    usage = (await member.get(f"{BASE}/os-simple-tenant-usage/{PROJECT}?{query}")).json()["tenant_usage"]
    assert (usage["total_hours"], usage["total_vcpus_usage"], usage["total_memory_mb_usage"]) == (4, 8, 2048)
    assert [(one["name"], one["hours"], one["state"]) for one in usage["server_usages"]] == [
        ("a", 2, "terminated"),
        ("b", 2, "active"),
    ]
    (all_of_it,) = (await admin.get(f"{BASE}/os-simple-tenant-usage?{query}&detailed=1")).json()["tenant_usages"]
    assert all_of_it == usage
    page = (await admin.get(f"{BASE}/os-simple-tenant-usage?{query}&limit=1&detailed=1")).json()
    following = (await admin.get(page["tenant_usages_links"][0]["href"])).json()
    assert following["tenant_usages"][0]["server_usages"][0]["name"] == "b"
    assert (await member.get(f"{BASE}/os-simple-tenant-usage/{OTHER}")).status_code == 403
    assert (await admin.get(f"{BASE}/os-simple-tenant-usage/{OTHER}")).json() == {"tenant_usage": {}}
    assert (await member.get(f"{BASE}/os-simple-tenant-usage")).status_code == 403
    backwards = "start=2020-01-02T00:00:00&end=2020-01-01T00:00:00"
    assert (await admin.get(f"{BASE}/os-simple-tenant-usage?{backwards}")).status_code == 400


async def test_quota_classes(admin: Client, member: Client, speaking_as: As) -> None:
    path = f"{BASE}/os-quota-class-sets/default"
    before = (await admin.get(path)).json()["quota_class_set"]
    assert "floating_ips" not in before
    assert "floating_ips" in (await speaking_as(PROJECT, "admin", version="2.49").get(path)).json()["quota_class_set"]
    changed = (await admin.put(path, json={"quota_class_set": {"instances": 7}})).json()["quota_class_set"]
    assert changed["instances"] == 7
    assert (await member.get(f"{BASE}/os-quota-sets/{PROJECT}")).json()["quota_set"]["instances"] == 7
    assert (await admin.put(path, json={"quota_class_set": {"key_pairs": 7}})).status_code == 400
    assert (await admin.put(path, json={"quota_class_set": {"colour": 7}})).status_code == 400
    assert (await admin.get(f"{BASE}/os-quota-class-sets/other")).json()["quota_class_set"]["instances"] == 7
    other = await admin.put(f"{BASE}/os-quota-class-sets/other", json={"quota_class_set": {"cores": 1}})
    assert other.status_code == 400
    assert (await member.get(path)).status_code == 403
