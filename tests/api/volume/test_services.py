"""Services, pools, hosts, capabilities and zones, as engines wrote them down; and a pool that takes no new volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.api.volume.conftest import OTHER, PROJECT, As, Client
from tests.api.volume.test_volumes import BASE, make

from cyclades.config import PoolSettings, Settings, load
from cyclades.model.units import GIB
from cyclades.store import pools, services
from cyclades.store.database import Database, Tx
from cyclades.store.schema import now, pool, service

LOCAL = {"host": "cyclades@local", "binary": "cinder-volume"}


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    settings = load(None, {}, data=str(tmp_path))
    settings.pools = (PoolSettings("local"), PoolSettings("slow"))
    return settings


@pytest.fixture(autouse=True)
async def _written_down(database: Database, speaking_as: As) -> None:
    """By an engine; and of a pool that nobody has configured any more."""

    def write(tx: Tx) -> None:
        services.seen(tx, "h:1:a", host="h", kind="engine", version="1")
        services.seen(tx, "h:1:b", host="h", kind="api", version="1")
        for name in ("local", "slow", "sold"):
            pools.report(tx, name, engine="qcow2", total=10 * GIB, free=4 * GIB, promised=3 * GIB // 2)

    await database.write(write)


async def listed(admin: Client, query: str = "") -> dict[str, dict[str, Any]]:
    rows = (await admin.get(f"{BASE}/os-services?{query}")).json()["services"]
    return {f"{row['binary']} {row['host']}": row for row in rows}


async def test_services(admin: Client, speaking_as: As) -> None:
    found = await listed(admin)
    assert list(found) == ["cinder-scheduler cyclades", "cinder-volume cyclades@local", "cinder-volume cyclades@slow"]
    one = found["cinder-volume cyclades@local"]
    assert (one["status"], one["state"], one["zone"], one["disabled_reason"]) == ("enabled", "up", "nova", None)
    assert one["updated_at"]
    assert len(await listed(admin, "binary=cinder-volume")) == 2
    assert len(await listed(admin, "host=cyclades")) == 3
    assert list(await listed(admin, "host=cyclades@slow")) == ["cinder-volume cyclades@slow"]
    assert await listed(admin, "host=elsewhere") == {}


async def test_who_is_not_seen_any_more_is_down(admin: Client, database: Database) -> None:
    long_ago = now() - 61_000_000

    def write(tx: Tx) -> None:
        tx.execute(service.update().values(seen_at=long_ago))
        tx.execute(pool.update().where(pool.c.name == "slow").values(seen_at=long_ago))

    await database.write(write)
    found = await listed(admin)
    assert [row["state"] for row in found.values()] == ["down", "up", "down"]
    assert found["cinder-volume cyclades@slow"]["backend_state"] == "down"
    states = {row["name"]: row["capabilities"]["backend_state"] for row in await all_pools(admin, "detail=true")}
    assert states == {"cyclades@local#local": "up", "cyclades@slow#slow": "down"}
    hosts = {row["host_name"]: row["service-status"] for row in (await admin.get(f"{BASE}/os-hosts")).json()["hosts"]}
    assert hosts == {"cyclades": "unavailable", "cyclades@local": "available", "cyclades@slow": "unavailable"}


async def test_a_disabled_pool_takes_no_new_volumes(admin: Client, member: Client, put: Callable[..., Any]) -> None:
    made = await make(member)
    await put("volume", made["id"], status="available")
    asked = {**LOCAL, "disabled_reason": "new disks on Monday"}
    answer = await admin.put(f"{BASE}/os-services/disable-log-reason", json=asked)
    assert answer.json() == {
        "host": "cyclades@local", "service": "", "binary": "cinder-volume", "status": "disabled", "disabled": True,
        "disabled_reason": "new disks on Monday",
    }  # fmt: skip
    shown = (await listed(admin))["cinder-volume cyclades@local"]
    assert (shown["status"], shown["disabled_reason"]) == ("disabled", "new disks on Monday")
    for body in ({"size": 1}, {"source_volid": made["id"]}):
        refused = await member.post(f"{BASE}/volumes", json={"volume": body})
        assert refused.status_code == 400
        assert "Pool local takes no new volumes: it is disabled (new disks on Monday)" in refused.text
    # What is there stays usable.
    extend = {"os-extend": {"new_size": 2}}
    assert (await member.post(f"{BASE}/volumes/{made['id']}/action", json=extend)).status_code == 202
    hosts = [row["host_name"] for row in (await admin.get(f"{BASE}/os-hosts")).json()["hosts"]]
    assert hosts == ["cyclades", "cyclades@slow"]
    answer = await admin.put(f"{BASE}/os-services/enable", json=LOCAL)
    assert (answer.status_code, answer.json()["disabled"]) == (200, False)
    assert (await listed(admin))["cinder-volume cyclades@local"]["disabled_reason"] is None
    await make(member)


async def test_a_zone_is_there_as_long_as_one_pool_takes_volumes(admin: Client, member: Client) -> None:
    async def available() -> bool:
        (zone,) = (await member.get(f"{BASE}/os-availability-zone")).json()["availabilityZoneInfo"]
        assert zone["zoneName"] == "nova"
        return bool(zone["zoneState"]["available"])

    seen = [await available()]
    for name in ("local", "slow"):
        asked = {"host": f"cyclades@{name}#{name}", "service": "cinder-volume"}
        assert (await admin.put(f"{BASE}/os-services/disable", json=asked)).status_code == 200
        seen.append(await available())
    assert seen == [True, True, False]


@pytest.mark.parametrize(
    ("action", "asked", "code"),
    [
        ("enable", {**LOCAL, "host": "elsewhere"}, 404),
        ("enable", {**LOCAL, "host": "cyclades@lake"}, 404),
        ("enable", {**LOCAL, "host": "cyclades@sold"}, 404),
        ("disable", {**LOCAL, "host": "cyclades"}, 404),
        ("disable", {**LOCAL, "binary": "cinder-backup"}, 404),
        ("disable", {"host": "cyclades@local"}, 400),
        ("disable", {"binary": "cinder-volume"}, 400),
        ("disable", {**LOCAL, "colour": "red"}, 400),
        ("disable", {"host": "cyclades", "binary": "cinder-scheduler"}, 400),
        ("disable-log-reason", LOCAL, 400),
        ("disable-log-reason", {**LOCAL, "disabled_reason": None}, 400),
        ("disable-log-reason", {**LOCAL, "disabled_reason": " "}, 400),
        ("freeze", {"host": "cyclades@local"}, 400),
        ("thaw", {"host": "cyclades@local"}, 400),
        ("failover_host", {"host": "cyclades@local", "backend_id": "other"}, 400),
    ],
)
async def test_what_cannot_be_done_to_a_service(admin: Client, action: str, asked: dict[str, Any], code: int) -> None:
    before = await listed(admin)
    answer = await admin.put(f"{BASE}/os-services/{action}", json=asked)
    assert answer.status_code == code, answer.text
    assert await listed(admin) == before


async def all_pools(admin: Client, query: str = "") -> list[dict[str, Any]]:
    answer = await admin.get(f"{BASE}/scheduler-stats/get_pools?{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["pools"]
    return found


async def test_pools(admin: Client, speaking_as: As) -> None:
    assert await all_pools(admin) == [{"name": "cyclades@local#local"}, {"name": "cyclades@slow#slow"}]
    first = (await all_pools(admin, "detail=True"))[0]["capabilities"]
    wanted = {
        "total_capacity_gb": 10.0,
        "free_capacity_gb": 4.0,
        "provisioned_capacity_gb": 1.5,
        "storage_protocol": "qcow2",
        "volume_backend_name": "local",
        "multiattach": False,
    }
    assert wanted.items() <= first.items()
    assert [row["name"] for row in await all_pools(admin, "name=cyclades%40slow%23slow")] == ["cyclades@slow#slow"]
    assert await all_pools(admin, "name=elsewhere") == []
    await admin.post(f"{BASE}/types", json={"volume_type": {"name": "t", "extra_specs": {"cyclades:pool": "slow"}}})
    assert [row["name"] for row in await all_pools(admin, "volume_type=t")] == ["cyclades@slow#slow"]
    assert (await admin.get(f"{BASE}/scheduler-stats/get_pools?volume_type=golden")).status_code == 404
    assert (await admin.get(f"{BASE}/scheduler-stats/get_pools?colour=red")).status_code == 400
    for version, query, number in (("3.27", "name=elsewhere", 2), ("3.28", "name=elsewhere", 0),
                                   ("3.34", "volume_type=t", 2), ("3.35", "volume_type=t", 1),
                                   ("3.30", "colour=red", 2)):  # fmt: skip
        old = speaking_as(PROJECT, "admin", version=version)
        assert len(await all_pools(old, query)) == number, version


async def test_capabilities(admin: Client) -> None:
    for host, name in (("cyclades@slow", "slow"), ("cyclades@slow%23slow", "slow"), ("cyclades", "local")):
        shown = (await admin.get(f"{BASE}/capabilities/{host}")).json()
        assert (shown["pool_name"], shown["vendor_name"], shown["replication_targets"]) == (name, "Cyclades", [])
        assert shown["namespace"] == f"OS::Storage::Capabilities::cyclades@{name}"
    for host in ("elsewhere", "cyclades@sold", "cyclades@"):
        assert (await admin.get(f"{BASE}/capabilities/{host}")).status_code == 404


async def test_what_a_host_holds(admin: Client, member: Client, stranger: Client, put: Callable[..., Any]) -> None:
    mine = await make(member, size=3)
    await make(stranger, size=2)
    await make(stranger, size=4)
    await put("volume", mine["id"], status="available")
    await member.post(f"{BASE}/snapshots", json={"snapshot": {"volume_id": mine["id"]}})
    rows = (await admin.get(f"{BASE}/os-hosts/cyclades@local")).json()["host"]
    held = {row["resource"]["project"]: {k: v for k, v in row["resource"].items() if k != "project"} for row in rows}
    names = ("volume_count", "total_volume_gb", "snapshot_count", "total_snapshot_gb")
    for project, counts in (("(total)", "3 9 1 3"), (PROJECT, "1 3 1 3"), (OTHER, "2 6 0 0")):
        assert held[project] == {"host": "cyclades@local", **dict(zip(names, counts.split(), strict=True))}
    for host in ("elsewhere", "cyclades", "cyclades@sold"):
        assert (await admin.get(f"{BASE}/os-hosts/{host}")).status_code == 404


@pytest.mark.parametrize(
    "path", ["os-services", "scheduler-stats/get_pools", "os-hosts", "capabilities/cyclades@local"]
)
async def test_how_the_cloud_is_built_is_for_admins(member: Client, path: str) -> None:
    assert (await member.get(f"{BASE}/{path}")).status_code == 403


async def test_extensions(member: Client) -> None:
    found = {row["alias"]: row for row in (await member.get(f"{BASE}/extensions")).json()["extensions"]}
    assert {"os-hosts", "os-quota-sets", "os-volume-type-access", "os-used-limits"} <= set(found)
    for row in found.values():
        assert set(row) == {"name", "alias", "updated", "description", "links"}
