"""Adopting what a pool has, and letting go of it, as an admin asks for it; with an engine, since that looks through the
pools."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.volume.conftest import PROJECT, As, Client, New
from tests.pools.disk_io import content, write

from cyclades.config import PoolSettings, Settings, load
from cyclades.engine import world as assembly
from cyclades.engine.audit import differences
from cyclades.engine.engine import Engine
from cyclades.model import quota
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB, KIB, MIB
from cyclades.operations.base import World, new_id
from cyclades.store import operations, quotas, volume_types
from cyclades.store.database import Database

BASE = "/volume/v3"
NOBODY = "00000000-0000-4000-8000-000000000000"
HOST = "cyclades@local#local"
LIMIT = 60  # seconds


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load(None, {}, data=str(tmp_path))
    settings.pools = (PoolSettings("local"), PoolSettings("other"))
    return settings


@pytest.fixture
async def world(database: Database, settings: Settings) -> AsyncIterator[World]:
    """An engine works while the test does."""
    world, _ = assembly.build(settings, database)
    engine = asyncio.create_task(Engine(world, alone=True, first_pause=0.01).run())
    yield world
    engine.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await engine


async def ended(database: Database) -> None:
    """Wait until no operation is open."""
    woken = asyncio.Event()
    stop = database.listen("ended", woken.set)
    try:
        async with asyncio.timeout(LIMIT):
            while await database.read(operations.open_ones):
                await woken.wait()
                woken.clear()
    finally:
        stop()


async def make(client: Client, database: Database, kind: str, **asked: Any) -> str:
    answer = await client.post(f"{BASE}/{kind}s", json={kind: asked})
    assert answer.status_code == 202, answer.text
    await ended(database)
    ident: str = answer.json()[kind]["id"]
    return ident


async def unmanage(client: Client, database: Database, kind: str, ident: str) -> None:
    answer = await client.post(f"{BASE}/{kind}s/{ident}/action", json={"os-unmanage": {}})
    assert answer.status_code == 202, answer.text
    await ended(database)
    assert (await client.get(f"{BASE}/{kind}s/{ident}")).status_code == 404


async def manage(client: Client, path: str = "manageable_volumes", **asked: Any) -> Any:
    body = {"host": HOST, "ref": {"source-name": "unmanaged-x"}, **asked}
    return await client.post(f"{BASE}/{path}", json={"volume": body})


async def shown(client: Client, kind: str, ident: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{BASE}/{kind}s/{ident}")).json()[kind]
    return found


async def counted(database: Database) -> dict[str, int]:
    usage = await database.read(lambda tx: quotas.usage(tx, PROJECT))
    return {name: n for name, n in usage.items() if n and "_" not in name}


async def test_a_volume_is_let_go_of_and_adopted(
    admin: Client, world: World, database: Database, tmp_path: Path
) -> None:
    volume_id = await make(admin, database, "volume", size=2, name="old")
    pool = world.pools["local"]
    await write(pool, volume_disk(volume_id), 0, KIB, 7)
    before = await counted(database)
    await unmanage(admin, database, "volume", volume_id)
    assert await counted(database) == {}
    assert [disk.name for disk in await pool.disks()] == [f"unmanaged-{volume_id}"]
    assert await differences(world) == []

    answer = await manage(
        admin,
        ref={"source-name": f"unmanaged-{volume_id}"},
        name="new",
        description="again",
        metadata={"a": "b"},
        bootable=True,
        volume_type="standard",
        availability_zone="nova",
    )
    assert answer.status_code == 202, answer.text
    made = answer.json()["volume"]
    assert (made["status"], made["size"], made["name"]) == ("managing", 0, "new")
    await ended(database)
    found = await shown(admin, "volume", made["id"])
    assert (found["status"], found["size"], found["bootable"], found["metadata"]) == (
        "available", 2, "true", {"a": "b"},
    )  # fmt: skip
    assert found["os-vol-host-attr:host"] == HOST
    assert await counted(database) == before
    assert await differences(world) == []
    assert (await content(pool, volume_disk(made["id"]), tmp_path)).startswith(b"\7" * KIB + b"\0")


async def test_a_snapshot_is_let_go_of_and_adopted(admin: Client, world: World, database: Database) -> None:
    """As a snapshot of its volume, in the size that it has: the volume has grown since."""
    volume_id = await make(admin, database, "volume", size=1)
    other_id = await make(admin, database, "volume", size=1)
    snapshot_id = await make(admin, database, "snapshot", volume_id=volume_id)
    before = await counted(database)
    answer = await admin.post(f"{BASE}/volumes/{volume_id}/action", json={"os-unmanage": {}})
    assert (answer.status_code, "still has snapshots" in answer.text) == (400, True)
    await unmanage(admin, database, "snapshot", snapshot_id)
    assert await counted(database) != before
    await admin.post(f"{BASE}/volumes/{volume_id}/action", json={"os-extend": {"new_size": 3}})
    await ended(database)

    asked = {"volume_id": other_id, "ref": {"source-name": f"unmanaged-{snapshot_id}"}, "name": "again"}
    wrong = (await admin.post(f"{BASE}/manageable_snapshots", json={"snapshot": asked})).json()["snapshot"]
    await ended(database)
    failed = await shown(admin, "snapshot", wrong["id"])
    assert (failed["status"], "not a snapshot of volume" in failed["cyclades:reason"]) == ("error", True)
    await admin.delete(f"{BASE}/snapshots/{wrong['id']}")
    await ended(database)

    asked |= {"volume_id": volume_id, "metadata": {"a": "b"}}
    answer = await admin.post(f"{BASE}/os-snapshot-manage", json={"snapshot": asked})
    assert answer.status_code == 202, answer.text
    made = answer.json()["snapshot"]
    assert made["status"] == "creating"
    await ended(database)
    found = await shown(admin, "snapshot", made["id"])
    assert (found["status"], found["size"], found["volume_id"], found["metadata"]) == (
        "available", 1, volume_id, {"a": "b"},
    )  # fmt: skip
    assert await differences(world) == []


async def test_lists_of_what_can_be_adopted(
    admin: Client, world: World, database: Database, settings: Settings
) -> None:
    kept = await make(admin, database, "volume", size=1)
    snapshot_id = await make(admin, database, "snapshot", volume_id=kept)
    free = await make(admin, database, "volume", size=3)
    free_snapshot = await make(admin, database, "snapshot", volume_id=kept)
    await unmanage(admin, database, "volume", free)
    await unmanage(admin, database, "snapshot", free_snapshot)
    incoming = settings.data / "pools" / "local" / "incoming"
    (incoming / "a.raw").write_bytes(bytes(MIB))
    (incoming / "b.vmdk").write_bytes(b"KDMV".ljust(MIB, b"\0"))

    async def listed(path: str, **query: Any) -> list[dict[str, Any]]:
        answer = await admin.get(f"{BASE}/{path}", params={"host": HOST, **query})
        assert answer.status_code == 200, answer.text
        (entries,) = answer.json().values()
        return list(entries)

    entries = await listed("manageable_volumes/detail")
    assert entries == [
        entry(f"unmanaged-{free}", 3),
        entry(volume_disk(kept), 1, safe_to_manage=False, reason_not_safe="It is already managed.", cinder_id=kept),
        entry("incoming/b.vmdk", 0, safe_to_manage=False, reason_not_safe=entries[2]["reason_not_safe"]),
        entry("incoming/a.raw", 1),
    ]
    assert "vmdk" in entries[2]["reason_not_safe"]
    source = {"source_reference": {"source-name": volume_disk(kept)}}
    assert await listed("os-snapshot-manage/detail") == [
        entry(f"unmanaged-{free_snapshot}", 1, **source),
        entry(f"snf-snap-{snapshot_id}", 1, safe_to_manage=False, reason_not_safe="It is already managed.",
              cinder_id=snapshot_id, **source),
    ]  # fmt: skip
    brief = await listed("os-volume-manage", sort="size:desc,reference:asc", limit=2)
    assert brief == [
        {"reference": {"source-name": f"unmanaged-{free}"}, "size": 3, "safe_to_manage": True},
        {"reference": {"source-name": "incoming/a.raw"}, "size": 1, "safe_to_manage": True},
    ]
    marker = "{'source-name': 'incoming/a.raw'}"
    rest = await listed("manageable_volumes", sort="size:desc,reference:asc", marker=marker, offset=1)
    assert [each["reference"]["source-name"] for each in rest] == ["incoming/b.vmdk"]
    assert await listed("manageable_volumes", host="cyclades@other") == []
    for query in ({"host": "mars"}, {"host": "cyclades@mars#mars"}, {"host": ""}, {"cluster": "c"}, {"sort": "age"},
                  {"marker": "{'source-name': 'gone'}"}, {"marker": "gone"}, {"limit": "x"}):  # fmt: skip
        answer = await admin.get(f"{BASE}/manageable_volumes", params={"host": HOST, **query})
        assert answer.status_code == 400, query


def entry(name: str, size: int, **values: Any) -> dict[str, Any]:
    plain = {"safe_to_manage": True, "reason_not_safe": None, "cinder_id": None, "extra_info": None}
    return {"reference": {"source-name": name}, "size": size, **plain, **values}


async def test_a_dropped_file_becomes_a_volume(
    admin: Client, world: World, database: Database, settings: Settings, tmp_path: Path
) -> None:
    """Rounded up to whole GiB, into the pool that it lies in."""
    await database.write(
        lambda tx: volume_types.add(
            tx, new_id(), name="far", is_public=True, is_default=False, extra_specs={"cyclades:pool": "other"}
        )
    )
    file = settings.data / "pools" / "other" / "incoming" / "disk.raw"
    with file.open("wb") as raw:
        raw.write(b"\3" * KIB)
        raw.truncate(GIB + MIB)
    answer = await manage(admin, host="cyclades@other", volume_type="far", ref="incoming/disk.raw")
    assert answer.status_code == 202, answer.text
    await ended(database)
    found = await shown(admin, "volume", answer.json()["volume"]["id"])
    assert (found["status"], found["size"], found["volume_type"]) == ("available", 2, "far")
    assert not file.exists()
    assert await counted(database) == {quota.VOLUMES: 1, quota.GIGABYTES: 2, quota.DISK: 2 * GIB}
    assert await differences(world) == []


async def test_what_is_not_adopted(admin: Client, world: World, database: Database, speaking_as: As) -> None:
    kept = await make(admin, database, "volume", size=1)
    free = await make(admin, database, "volume", size=3)
    await unmanage(admin, database, "volume", free)
    before = await counted(database)
    for asked, code, word in (
        ({"ref": {"source-name": volume_disk(kept)}}, 400, "already managed"),
        ({"ref": {"source-id": "x"}}, 400, "ref"),
        ({"ref": None}, 400, "ref"),
        ({"host": "mars@local#local"}, 400, "Host"),
        ({"host": None}, 400, "Host"),
        ({"host": "cyclades@other#other"}, 400, "volume_type"),
        ({"cluster": "c"}, 400, "Cluster"),
        ({"volume_type": "golden"}, 404, "golden"),
        ({"availability_zone": "mars"}, 400, "mars"),
        ({"colour": "red"}, 400, "colour"),
    ):
        answer = await manage(admin, **asked)
        assert (answer.status_code, word in answer.text) == (code, True), answer.text
    old = speaking_as(PROJECT, "admin", version="3.7")
    assert (await manage(old)).status_code == 404
    assert (await manage(old, "os-volume-manage", cluster=None)).status_code == 400  # not yet known
    assert await counted(database) == before

    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, quota.GIGABYTES, 3))
    for ref, word in ((f"unmanaged-{free}", "gigabytes"), ("unmanaged-gone", "nothing that is called")):
        made = (await manage(admin, ref={"source-name": ref})).json()["volume"]
        await ended(database)
        found = await shown(admin, "volume", made["id"])
        assert (found["status"], found["size"], word in found["cyclades:reason"]) == ("error_managing", 0, True)
        assert await differences(world) == []
        assert (await admin.delete(f"{BASE}/volumes/{made['id']}")).status_code == 202
        await ended(database)
    assert await counted(database) == before
    assert f"unmanaged-{free}" in {disk.name for disk in await world.pools["local"].disks()}


async def test_who_may(member: Client, admin: Client, new_volume: New, put: Any) -> None:
    volume_id = await new_volume()
    assert (await manage(member)).status_code == 403
    assert (await member.get(f"{BASE}/manageable_volumes?host={HOST}")).status_code == 403
    assert (await member.post(f"{BASE}/manageable_snapshots", json={"snapshot": {}})).status_code == 403
    path = f"{BASE}/volumes/{volume_id}/action"
    assert (await member.post(path, json={"os-unmanage": None})).status_code == 403
    await put("volume", volume_id, status="in-use")
    assert (await admin.post(path, json={"os-unmanage": None})).status_code == 400
    assert (await admin.post(f"{BASE}/volumes/{NOBODY}/action", json={"os-unmanage": {}})).status_code == 404
    asked = {"volume_id": NOBODY, "ref": {"source-name": "x"}}
    assert (await admin.post(f"{BASE}/manageable_snapshots", json={"snapshot": asked})).status_code == 404
