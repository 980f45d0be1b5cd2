"""createImage: what is accepted and answered, and the rows that it makes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.compute.conftest import BASE, NOBODY, PROJECT, As, Client, Put

from cyclades.model.units import GIB
from cyclades.store import quotas
from cyclades.store.database import Database
from cyclades.store.schema import attachment, image, operation, server, snapshot, volume

New = Callable[..., Awaitable[str]]
Usage = Callable[[], Awaitable[dict[str, int]]]
Rows = Callable[[sa.Table], Awaitable[list[Any]]]


async def take(client: Client, server_id: str, **asked: Any) -> Any:
    body = {"createImage": {"name": "taken", **asked}}
    return await client.post(f"{BASE}/servers/{server_id}/action", json=body)


@pytest.fixture
def rows(database: Database) -> Rows:
    """All of a table, oldest first."""

    async def read(table: sa.Table) -> list[Any]:
        return await database.read(lambda tx: list(tx.execute(sa.select(table).order_by(table.c.created_at)).all()))

    return read


@pytest.fixture
def of_volumes(new_server: New, new_volume: New) -> New:
    """A server that was booted from a volume, with another one beside it."""

    async def make() -> str:
        kept = {"min_ram": "96", "image_id": NOBODY, "os_distro": "debian", "block_device_mapping": "old"}
        root = await new_volume(size=3, bootable=True, image_metadata=kept, description="of the root")
        mapping = [
            {"source_type": "volume", "uuid": root, "boot_index": 0, "delete_on_termination": True},
            {"source_type": "volume", "uuid": await new_volume(size=5), "tag": "data"},
        ]
        return await new_server(block_device_mapping_v2=mapping, imageRef="")

    return make


async def test_the_answer_changes_with_the_version(speaking_as: As, new_server: New, rows: Rows) -> None:
    old = await take(speaking_as(version="2.44"), await new_server())
    assert (old.status_code, old.content) == (202, b"")
    new = await take(speaking_as(version="2.45"), await new_server())
    assert (new.status_code, set(new.json())) == (202, {"image_id"})
    assert "location" not in new.headers
    first, second = [row.id for row in await rows(image)][-2:]
    assert old.headers["location"].endswith(f"/image/v2/images/{first}")
    assert new.json()["image_id"] == second


async def test_of_a_server_that_was_booted_by_an_image(
    member: Client, new_server: New, image_id: str, rows: Rows, usage: Usage
) -> None:
    server_id, before = await new_server(), await usage()
    answer = await take(member, server_id, name=" mine ", metadata={"a": "b", "image_type": "special"})
    assert answer.status_code == 202, answer.text
    (root,), (plug,), (op,) = await rows(volume), await rows(attachment), (await rows(operation))[1:]
    made = next(row for row in await rows(image) if row.id == answer.json()["image_id"])
    assert (made.name, made.status, made.visibility, made.project_id) == ("mine", "saving", "private", PROJECT)
    assert (made.size, made.virtual_size, made.min_disk, made.checksum) == (4 * GIB, 4 * GIB, 4, None)
    assert (made.disk_format, made.container_format, made.pool, made.volume_id) == ("raw", "bare", "local", root.id)
    assert made.properties == {"os_distro": "debian", "instance_uuid": server_id, "user_id": "u" * 32,
                               "base_image_ref": image_id, "a": "b", "image_type": "special"}  # fmt: skip
    assert await rows(snapshot) == []
    # Until it is made, the server and its root are not to be touched.
    assert op.kind == "server_image"
    assert made.operation_id == root.operation_id == op.id
    assert (root.status, plug.status, plug.operation_id) == ("in-use", "attached", None)
    shown = (await member.get(f"{BASE}/servers/{server_id}")).json()["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", "image_snapshot")
    assert (await take(member, server_id)).status_code == 409
    assert await usage() == {**before, "images": 1, "image_bytes": 4 * GIB}


async def test_of_a_server_that_was_booted_from_a_volume(
    member: Client, of_volumes: New, rows: Rows, usage: Usage
) -> None:
    server_id = await of_volumes()
    answer = await take(member, server_id, metadata={"bdm_v2": "mine", "b": "c"})
    assert answer.status_code == 202, answer.text
    made = (await rows(image))[-1]
    assert (made.size, made.file, made.pool, made.min_disk, made.min_ram) == (0, None, None, 3, 96)
    found = {name: value for name, value in made.properties.items() if name != "block_device_mapping"}
    assert found == {"os_distro": "debian", "instance_uuid": server_id, "user_id": "u" * 32, "b": "c",
                     "image_type": "snapshot", "bdm_v2": "True", "root_device_name": "/dev/sda"}  # fmt: skip
    taken = {row.volume_id: row for row in await rows(snapshot)}
    plugged = await rows(attachment)
    first, second = (taken[plug.volume_id] for plug in plugged)
    assert [(one.name, one.status, one.size) for one in (first, second)] == [
        ("snapshot for taken", "creating", 3),
        ("snapshot for taken", "creating", 5),
    ]
    assert first.description == "of the root"
    mapping = json.loads(made.properties["block_device_mapping"])
    told = [
        {key: one[key] for key in ("source_type", "destination_type", "snapshot_id", "boot_index", "volume_size",
                                   "delete_on_termination", "device_name")}
        for one in mapping
    ]  # fmt: skip
    common = {"source_type": "snapshot", "destination_type": "volume"}
    assert told == [
        {**common, "snapshot_id": first.id, "boot_index": 0, "volume_size": 3, "delete_on_termination": True,
         "device_name": "/dev/sda"},
        {**common, "snapshot_id": second.id, "boot_index": None, "volume_size": 5, "delete_on_termination": False,
         "device_name": "/dev/sdb"},
    ]  # fmt: skip
    assert (await usage())["snapshots"] == 2
    assert "image_bytes" not in await usage()


async def test_what_no_image_is_taken_of(
    member: Client, stranger: Client, speaking_as: As, new_server: New, put: Put, rows: Rows, usage: Usage
) -> None:
    server_id = await new_server()
    before = await usage(), await rows(image)
    assert (await take(member, NOBODY)).status_code == 404
    assert (await take(stranger, server_id)).status_code == 404
    assert (await take(speaking_as(PROJECT, "reader"), server_id)).status_code == 403
    wrong_ones: list[dict[str, Any]] = [
        {"name": ""}, {"name": "x" * 256}, {"name": None}, {"colour": "red"}, {"metadata": {"": ""}},
        {"metadata": {"a" * 256: "b"}}, {"metadata": {"a": "b" * 256}}, {"metadata": {"a": 1}}, {"metadata": None},
    ]  # fmt: skip
    for wrong in wrong_ones:
        assert (await take(member, server_id, **wrong)).status_code == 400, wrong
    (root,) = await rows(volume)
    await put("volume", root.id, status="extending", operation_id=NOBODY)
    busy = await take(member, server_id)
    assert busy.status_code == 400
    assert "extending" in busy.json()["badRequest"]["message"]
    await put("volume", root.id, status="in-use")
    for status, op_id in (("BUILD", None), ("ERROR", None), ("ACTIVE", NOBODY)):
        await put("server", server_id, status=status, operation_id=op_id)
        refused = await take(member, server_id)
        assert refused.status_code == 409
        assert "create image" in refused.json()["conflictingRequest"]["message"]
    assert (await usage(), await rows(image)) == before
    # A lock keeps nobody from looking; nor does a server that is off.
    await put("server", server_id, status="SHUTOFF", locked=True)
    assert (await take(member, server_id)).status_code == 202


@pytest.mark.parametrize(("resource", "limit"), [("snapshots", 1), ("gigabytes", 7), ("images", 0)])
async def test_a_quota_that_would_be_passed(
    member: Client, of_volumes: New, usage: Usage, rows: Rows, database: Database, resource: str, limit: int
) -> None:
    server_id = await of_volumes()
    before = await usage(), await rows(volume), await rows(server)
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, resource, limit))
    answer = await take(member, server_id)
    assert answer.status_code == 403
    assert resource in answer.json()["forbidden"]["message"]
    assert (await usage(), await rows(volume), await rows(server)) == before
    assert (len(await rows(image)), await rows(snapshot)) == (1, [])


async def test_bytes_of_an_image_count(member: Client, new_server: New, database: Database) -> None:
    server_id = await new_server()
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, "image_bytes", 4 * GIB - 1))
    assert (await take(member, server_id)).status_code == 403
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, "image_bytes", 4 * GIB))
    assert (await take(member, server_id)).status_code == 202
