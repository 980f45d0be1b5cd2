"""The actions that move or make a volume's bytes: what is accepted and refused. What they do is in
`tests/operations/test_volume_data.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.api.volume.conftest import OTHER, PROJECT, As, Client, New

from cyclades.config import PoolSettings, Settings, load
from cyclades.model import capabilities, quota
from cyclades.model.units import GIB
from cyclades.operations.base import new_id
from cyclades.store import quotas, snapshots, volume_types
from cyclades.store.database import Database, Tx
from cyclades.store.schema import image, now, snapshot, volume

BASE = "/volume/v3"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With two pools; the image directory is small."""
    settings = load(None, {}, data=str(tmp_path), limits__image_bytes=4 * GIB)
    settings.pools = (PoolSettings("local"), PoolSettings("other"))
    return settings


async def act(client: Client, volume_id: str, action: str, **asked: Any) -> Any:
    return await client.post(f"{BASE}/volumes/{volume_id}/action", json={action: asked})


async def shown(client: Client, volume_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{BASE}/volumes/{volume_id}")).json()["volume"]
    return found


async def used(database: Database, *amounts: str) -> list[int]:
    usage = await database.read(lambda tx: quotas.usage(tx, PROJECT))
    return [usage.get(name, 0) for name in amounts]


@pytest.fixture
def new_type(database: Database) -> Callable[..., Any]:
    async def add(name: str, pool: str = "local", *, key: str = "cyclades:pool", **values: Any) -> str:
        type_id = new_id()
        columns = {"is_public": True, "is_default": False, "extra_specs": {key: pool}, **values}
        await database.write(lambda tx: volume_types.add(tx, type_id, name=name, **columns))
        return type_id

    return add


@pytest.fixture
def new_snapshot(database: Database) -> Callable[..., Any]:
    async def add(volume_id: str, project_id: str = PROJECT, **values: Any) -> str:
        snapshot_id = new_id()
        columns = {"project_id": project_id, "user_id": "u" * 32, "volume_id": volume_id, "status": "available",
                   "size": 1, **values}  # fmt: skip
        await database.write(lambda tx: snapshots.add(tx, snapshot_id, **columns))
        return snapshot_id

    return add


@pytest.fixture
def new_image(database: Database) -> Callable[..., Any]:
    async def add(**values: Any) -> str:
        image_id = new_id()
        columns = {"id": image_id, "project_id": PROJECT, "name": "small", "status": "active", "visibility": "private",
                   "disk_format": "raw", "container_format": "bare", "size": GIB, "virtual_size": GIB,
                   "created_at": now(), **values}  # fmt: skip
        await database.write(lambda tx: tx.execute(image.insert().values(**columns)))
        return image_id

    return add


# --- retype ---------------------------------------------------------------------------------------


async def test_a_retype_in_the_pool_is_done_at_once(
    member: Client, database: Database, new_type: Any, new_snapshot: Any
) -> None:
    """Also of a volume in use and with snapshots; what each type counts moves with it."""
    type_id = await new_type("fast")
    made = (await member.post(f"{BASE}/volumes", json={"volume": {"size": 3}})).json()["volume"]
    old_id = (await shown(member, made["id"]))["volume_type_id"]
    snapshot_id = new_id()

    def prepare(tx: Tx) -> None:
        tx.execute(volume.update().values(status="in-use", operation_id=None))
        columns = {"project_id": OTHER, "user_id": "u" * 32, "volume_id": made["id"], "status": "available", "size": 2}
        snapshots.add(tx, snapshot_id, **columns)
        quotas.take(tx, load(None, {}).quotas, OTHER, quota.of_snapshot(2, type_id=old_id))

    await database.write(prepare)
    assert (await act(member, made["id"], "os-retype", new_type="fast")).status_code == 202
    after = await shown(member, made["id"])
    assert (after["volume_type"], after["status"]) == ("fast", "in-use")
    each = [quota.per_type(name, one) for one in (old_id, type_id) for name in (quota.VOLUMES, quota.GIGABYTES)]
    assert await used(database, *each) == [0, 0, 1, 3]
    assert await used(database, quota.VOLUMES, quota.GIGABYTES) == [1, 3]
    others = await database.read(lambda tx: quotas.usage(tx, OTHER))
    assert others[quota.GIGABYTES] == others[quota.per_type(quota.GIGABYTES, type_id)] == 2
    assert others[quota.per_type(quota.SNAPSHOTS, old_id)] == 0


async def test_what_no_retype_can_be(member: Client, admin: Client, new_type: Any, new_volume: New, put: Any) -> None:
    await new_type("hidden", is_public=False)
    await new_type("fast")
    await new_type("taped", "tape", key="storage_protocol")
    volume_id = await new_volume()
    for asked, code, word in (
        ({"new_type": "standard"}, 400, "already"),
        ({"new_type": "golden"}, 404, "golden"),
        ({"new_type": "hidden"}, 404, "hidden"),
        ({"new_type": "taped"}, 400, "storage_protocol"),
        ({"new_type": "fast", "migration_policy": "always"}, 400, "migration_policy"),
        ({"new_type": ""}, 400, "new_type"),
        ({"new_type": "fast", "colour": "red"}, 400, "colour"),
        ({}, 400, "new_type"),
    ):
        answer = await act(member, volume_id, "os-retype", **asked)
        assert (answer.status_code, word in answer.text) == (code, True), answer.text
    assert (await shown(member, volume_id))["volume_type"] == "standard"
    assert (await act(admin, volume_id, "os-retype", new_type="hidden")).status_code == 202
    await put("volume", volume_id, status="extending")
    answer = await act(member, volume_id, "os-retype", new_type="fast")
    assert answer.status_code == 400
    assert "available or in-use to retype" in answer.text


@pytest.mark.parametrize("key", ["cyclades:pool", "volume_backend_name"])
async def test_a_retype_to_another_pool(
    member: Client, admin: Client, new_type: Any, new_volume: New, database: Database, key: str
) -> None:
    await new_type("far", "other", key=key)
    volume_id = await new_volume()
    for policy in ({}, {"migration_policy": None}, {"migration_policy": "never"}):
        answer = await act(member, volume_id, "os-retype", new_type="far", **policy)
        assert answer.status_code == 400
        assert "Retype requires migration but is not allowed" in answer.text
    assert await used(database, quota.VOLUMES) == [0]
    answer = await act(member, volume_id, "os-retype", new_type="far", migration_policy="on-demand")
    assert answer.status_code == 202, answer.text
    during = await shown(admin, volume_id)
    assert (during["status"], during["volume_type"], during["migration_status"]) == (
        "retyping", "standard", "migrating",
    )  # fmt: skip
    assert during["os-vol-host-attr:host"] == "cyclades@local#local"
    assert "migration_status" not in await shown(member, volume_id)


async def test_a_migration_by_host(member: Client, admin: Client, new_volume: New, put: Any) -> None:
    """A volume goes where its type says that it lies, and nowhere else."""
    volume_id = await new_volume()
    for host, word in (
        ("cyclades@local#local", "Destination host must be different"),
        ("cyclades@other#other", "retype the volume to a type of pool other"),
        ("cyclades@tape#tape", "No available service named"),
        ("cyclades", "No available service named"),
        ("elsewhere@other#other", "No available service named"),
        ("", "host"),
    ):
        answer = await act(admin, volume_id, "os-migrate_volume", host=host)
        assert (answer.status_code, word in answer.text) == (400, True), answer.text
    await put("volume", volume_id, pool="other")
    assert (await act(member, volume_id, "os-migrate_volume", host="cyclades@local#local")).status_code == 403
    words = {"host": "cyclades@local#local", "force_host_copy": False, "lock_volume": True}
    assert (await act(admin, volume_id, "os-migrate_volume", **words)).status_code == 202
    during = await shown(admin, volume_id)
    assert (during["status"], during["migration_status"]) == ("retyping", "migrating")
    assert (await act(admin, volume_id, "os-migrate_volume", **words)).status_code == 400


@pytest.mark.parametrize("owner", [PROJECT, OTHER])
async def test_what_stays_in_its_pool(
    member: Client, new_type: Any, new_volume: New, new_snapshot: Any, owner: str
) -> None:
    """A volume in use, and one that has snapshots, be they another project's."""
    await new_type("far", "other")
    in_use, kept = await new_volume(status="in-use"), await new_volume()
    await new_snapshot(kept, owner)
    for volume_id, word in ((in_use, "is in use"), (kept, "Volume must not have snapshots")):
        answer = await act(member, volume_id, "os-retype", new_type="far", migration_policy="on-demand")
        assert (answer.status_code, word in answer.text) == (400, True), answer.text


async def test_a_types_quota_holds_for_retypes(
    member: Client, new_type: Any, new_volume: New, database: Database
) -> None:
    type_id = await new_type("fast")
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, quota.per_type(quota.GIGABYTES, type_id), 1))
    volume_id = await new_volume(size=2)
    answer = await act(member, volume_id, "os-retype", new_type="fast")
    assert (answer.status_code, "gigabytes_fast" in answer.text) == (413, True), answer.text
    assert (await shown(member, volume_id))["volume_type"] == "standard"


# --- revert ---------------------------------------------------------------------------------------


async def test_revert_takes_the_most_recent_snapshot(
    member: Client, new_volume: New, new_snapshot: Any, database: Database
) -> None:
    volume_id = await new_volume(size=2)
    answer = await act(member, volume_id, "revert", snapshot_id=NOBODY)
    assert (answer.status_code, "doesn't have any snapshots" in answer.text) == (400, True)
    older, newer = await new_snapshot(volume_id, created_at=1), await new_snapshot(volume_id, created_at=2)
    await new_snapshot(volume_id, OTHER)  # which stayed with a former project
    for wrong in ({"snapshot_id": older}, {"snapshot_id": None}, {"snapshot_id": NOBODY}, {}):
        answer = await act(member, volume_id, "revert", **wrong)
        assert (answer.status_code, "not the latest one" in answer.text) == (400, True), answer.text
    assert (await act(member, volume_id, "revert", snapshot_id=newer.upper())).status_code == 202
    assert (await shown(member, volume_id))["status"] == "reverting"
    restoring = (await member.get(f"{BASE}/snapshots/{newer}")).json()["snapshot"]
    assert restoring["status"] == "restoring"
    assert (await member.delete(f"{BASE}/snapshots/{newer}")).status_code == 400


async def test_what_is_not_reverted(
    member: Client, speaking_as: As, new_volume: New, new_snapshot: Any, put: Any
) -> None:
    volume_id = await new_volume(status="in-use")
    snapshot_id = await new_snapshot(volume_id)
    assert (await act(member, volume_id, "revert", snapshot_id=snapshot_id)).status_code == 409
    await put("volume", volume_id, status="available")
    await put("snapshot", snapshot_id, status="error")
    assert (await act(member, volume_id, "revert", snapshot_id=snapshot_id)).status_code == 409
    assert (await shown(member, volume_id))["status"] == "available"
    old = speaking_as(version="3.39")
    assert (await act(old, volume_id, "revert", snapshot_id=snapshot_id)).status_code == 404
    assert (await act(member, volume_id, "revert", snapshot_id="latest")).status_code == 400


# --- reimage --------------------------------------------------------------------------------------


async def test_reimage(member: Client, speaking_as: As, new_volume: New, new_image: Any, put: Any) -> None:
    volume_id, image_id = await new_volume(), await new_image()
    large, locked = await new_image(virtual_size=2 * GIB), await new_image(status="deactivated")
    foreign, tall = await new_image(project_id=OTHER), await new_image(min_disk=2)
    for wrong, code in ((large, 400), (tall, 400), (locked, 400), (foreign, 404), (NOBODY, 404), ("x", 400)):
        answer = await act(member, volume_id, "os-reimage", image_id=wrong)
        assert answer.status_code == code, answer.text
    old = speaking_as(version="3.67")
    assert (await act(old, volume_id, "os-reimage", image_id=image_id)).status_code == 404
    for status, asked, code in (
        ("in-use", {"reimage_reserved": True}, 400),
        ("reserved", {}, 400),
        ("reserved", {"reimage_reserved": False}, 400),
        ("reserved", {"reimage_reserved": True}, 202),
        ("available", {"reimage_reserved": False}, 202),
        ("error", {}, 202),
    ):
        await put("volume", volume_id, status=status)
        answer = await act(member, volume_id, "os-reimage", image_id=image_id, **asked)
        assert answer.status_code == code, (status, answer.text)
        assert (await shown(member, volume_id))["status"] == ("downloading" if code == 202 else status)


# --- upload ---------------------------------------------------------------------------------------


async def test_upload_makes_an_image(member: Client, new_volume: New, database: Database) -> None:
    kept = {"image_id": NOBODY, "size": "9", "os_distro": "debian"}
    volume_id = await new_volume(size=2, description="mine", image_metadata=kept)
    answer = await act(member, volume_id, "os-volume_upload_image", image_name="copy", force=False)
    assert answer.status_code == 202, answer.text
    made = answer.json()["os-volume_upload_image"]
    assert {name: made[name] for name in made if name not in ("image_id", "updated_at", "volume_type")} == {
        "id": volume_id, "status": "uploading", "display_description": "mine", "size": 2, "container_format": "bare",
        "disk_format": "raw", "image_name": "copy", "protected": False, "visibility": "private",
    }  # fmt: skip
    assert made["volume_type"]["name"] == "standard"
    assert (await shown(member, volume_id))["status"] == "uploading"
    row = await database.read(lambda tx: tx.execute(image.select().where(image.c.id == made["image_id"])).one())
    assert (row.status, row.project_id, row.size, row.properties) == ("saving", PROJECT, None, {"os_distro": "debian"})
    assert await used(database, quota.IMAGES, quota.IMAGE_BYTES) == [1, 2 * GIB]


async def test_uploads_by_version(speaking_as: As, new_volume: New, admin: Client) -> None:
    old, volume_id = speaking_as(version="3.0"), await new_volume()
    answer = await act(old, volume_id, "os-volume_upload_image", image_name="a", visibility="private")
    assert (answer.status_code, "visibility" in answer.text) == (400, True)
    made = (await act(old, volume_id, "os-volume_upload_image", image_name="a")).json()["os-volume_upload_image"]
    assert not {"visibility", "protected"} & set(made)
    member = speaking_as()
    for client, code in ((member, 403), (admin, 202)):
        answer = await act(client, await new_volume(), "os-volume_upload_image", image_name="a", visibility="public")
        assert answer.status_code == code
    answer = await act(member, await new_volume(), "os-volume_upload_image", image_name="a", protected="true")
    assert answer.json()["os-volume_upload_image"]["protected"] is True


async def test_what_is_not_uploaded(member: Client, new_volume: New, database: Database, put: Any) -> None:
    volume_id = await new_volume(size=3)
    for asked, code, word in (
        ({}, 400, "image_name"),
        ({"image_name": ""}, 400, "image_name"),
        ({"image_name": "a", "disk_format": "vmdk"}, 400, "disk_format"),
        ({"image_name": "a", "disk_format": "floppy"}, 400, "disk_format"),
        ({"image_name": "a", "container_format": "docker"}, 400, "container_format"),
        ({"image_name": "a", "visibility": "secret"}, 400, "visibility"),
        ({"image_name": "a", "force": "perhaps"}, 400, "force"),
    ):
        answer = await act(member, volume_id, "os-volume_upload_image", **asked)
        assert (answer.status_code, word in answer.text) == (code, True), answer.text
    await put("volume", volume_id, status="in-use")
    answer = await act(member, volume_id, "os-volume_upload_image", image_name="a")
    assert (answer.status_code, "must be available" in answer.text) == (400, True)
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, quota.IMAGE_BYTES, GIB))
    answer = await act(member, volume_id, "os-volume_upload_image", image_name="a", force=True)
    assert (answer.status_code, "image_bytes" in answer.text) == (413, True), answer.text
    assert (await shown(member, volume_id))["status"] == "in-use"
    assert await used(database, quota.IMAGES, quota.IMAGE_BYTES) == [0, 0]
    answer = await act(member, volume_id, "os-volume_upload_image", image_name="a", force=True, disk_format="qcow2")
    assert answer.status_code == 202  # how large that is shows later
    answer = await act(member, await new_volume(size=5), "os-volume_upload_image", image_name="a")
    assert answer.status_code == 413  # over the cloud's own limit


# --- all ------------------------------------------------------------------------------------------


async def test_other_projects_and_readers(
    stranger: Client, speaking_as: As, new_volume: New, new_snapshot: Any, new_image: Any, database: Database
) -> None:
    volume_id = await new_volume()
    snapshot_id, image_id = await new_snapshot(volume_id), await new_image()
    reader = speaking_as(PROJECT, "reader")
    for action, asked in (
        ("os-retype", {"new_type": "standard"}),
        ("revert", {"snapshot_id": snapshot_id}),
        ("os-reimage", {"image_id": image_id}),
        ("os-volume_upload_image", {"image_name": "mine now"}),
    ):
        assert (await act(stranger, volume_id, action, **asked)).status_code == 404
        assert (await act(reader, volume_id, action, **asked)).status_code == 403
    rows = await database.read(lambda tx: tx.execute(snapshot.select()).all())
    assert [row.status for row in rows] == ["available"]


# --- POST /volumes with server_id -----------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.0", "3.52", "3.53", "3.71"])
async def test_a_volume_made_on_a_server(speaking_as: As, new_server: New, database: Database, version: str) -> None:
    server_id = await new_server()
    client = speaking_as(version=version)
    answer = await client.post(f"{BASE}/volumes", json={"volume": {"size": 1, "server_id": server_id.upper()}})
    assert answer.status_code == 202, answer.text
    made = answer.json()["volume"]
    assert (made["status"], made["attachments"]) == ("creating", [])
    assert await used(database, quota.VOLUMES) == [1]


async def test_a_server_that_takes_no_volume(
    member: Client, admin: Client, new_server: New, put: Any, database: Database
) -> None:
    foreign, building, gone = await new_server(OTHER), await new_server(status="BUILD"), NOBODY
    for client in (member, admin):
        for server_id, code in ((foreign, 404), (building, 409), (gone, 404), ("x", 400)):
            answer = await client.post(f"{BASE}/volumes", json={"volume": {"size": 1, "server_id": server_id}})
            assert answer.status_code == code, answer.text
    assert await used(database, quota.VOLUMES) == [0]
    answer = await member.post(f"{BASE}/volumes", json={"volume": {"size": 1, "server_id": None}})
    assert answer.status_code == 202


async def test_a_type_that_needs_a_server(member: Client, new_server: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(capabilities._OF_POOL, "qcow2", capabilities.Capabilities(multiattach=False, detachable=False))
    answer = await member.post(f"{BASE}/volumes", json={"volume": {"size": 1}})
    assert (answer.status_code, "say on which" in answer.text) == (400, True), answer.text
    server_id = await new_server()
    answer = await member.post(f"{BASE}/volumes", json={"volume": {"size": 1, "server_id": server_id}})
    assert answer.status_code == 202, answer.text
