"""What old clients of Nova read through it: images, volumes, snapshots, the network. Gone with 2.36."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.api.compute.conftest import BASE, NOBODY, PROJECT, As, Client

from cyclades.model.nics import NETWORK_ID
from cyclades.store.database import Database
from cyclades.store.schema import image

New = Callable[..., Awaitable[str]]


@pytest.fixture
def old(speaking_as: As) -> Client:
    return speaking_as(version="2.35")


async def test_volumes_and_snapshots(old: Client, new_volume: New) -> None:
    mine = await new_volume(name="one", metadata={"k": "v"})
    asked = {"size": "2", "display_name": "two", "metadata": {"a": "b"}}
    made = (await old.post(f"{BASE}/os-volumes", json={"volume": asked})).json()["volume"]
    assert (made["size"], made["displayName"], made["status"], made["attachments"]) == (2, "two", "creating", [{}])
    assert (await old.get(f"{BASE}/os-volumes/{made['id']}")).json() == {"volume": made}
    found = (await old.get(f"{BASE}/os-volumes/detail")).json()["volumes"]
    assert {one["id"] for one in found} == {mine, made["id"]}
    assert len((await old.get(f"{BASE}/os-volumes?limit=1&offset=1")).json()["volumes"]) == 1
    assert (await old.delete(f"{BASE}/os-volumes/{mine}")).status_code == 202
    other = await new_volume()
    body = {"snapshot": {"volume_id": other, "display_name": "s"}}
    snapshot = (await old.post(f"{BASE}/os-snapshots", json=body)).json()["snapshot"]
    assert (snapshot["volumeId"], snapshot["displayName"]) == (other, "s")
    assert (await old.get(f"{BASE}/os-snapshots/{snapshot['id']}")).json() == {"snapshot": snapshot}
    assert (await old.get(f"{BASE}/os-snapshots")).json() == {"snapshots": [snapshot]}
    for wrong in ({}, {"size": 0}, {"size": "many"}, {"size": 1, "colour": "red"}):
        assert (await old.post(f"{BASE}/os-volumes", json={"volume": wrong})).status_code == 400


async def test_a_volume_that_a_server_has(old: Client, new_server: New, new_volume: New) -> None:
    volume_id = await new_volume(bootable=True)
    mapping = [{"source_type": "volume", "destination_type": "volume", "uuid": volume_id, "boot_index": 0}]
    server_id = await new_server(imageRef="", block_device_mapping_v2=mapping)
    (plug,) = (await old.get(f"{BASE}/os-volumes/{volume_id}")).json()["volume"]["attachments"]
    assert plug == {"id": volume_id, "volumeId": volume_id, "serverId": server_id, "device": "/dev/sda"}


async def test_images(old: Client, image_id: str, database: Database) -> None:
    (one,) = (await old.get(f"{BASE}/images/detail")).json()["images"]
    assert (one["id"], one["status"], one["progress"], one["metadata"]) == (
        image_id, "ACTIVE", 100, {"os_distro": "debian"},
    )  # fmt: skip
    assert (await old.get(f"{BASE}/images/{image_id}")).json() == {"image": one}
    of_a_server = {"os_distro": "debian", "instance_uuid": NOBODY, "image_type": "snapshot"}
    await database.write(lambda tx: tx.execute(image.update().values(properties=of_a_server)))
    for query, count in (("", 1), ("name=small", 1), ("name=other", 0), ("status=active", 1), ("status=SAVING", 0),
                         (f"server={NOBODY}", 1), ("server=other", 0), ("type=snapshot", 1), ("type=base", 0),
                         ("changes-since=2099-01-01T00:00:00Z", 0), ("limit=0", 0), ("minDisk=5", 0)):  # fmt: skip
        assert len((await old.get(f"{BASE}/images?{query}")).json()["images"]) == count, query
    assert (await old.get(f"{BASE}/images/{image_id}")).json()["image"]["server"]["id"] == NOBODY
    assert (await old.delete(f"{BASE}/images/{image_id}")).status_code == 204
    assert (await old.get(f"{BASE}/images/{image_id}")).status_code == 404


async def test_metadata_of_images(old: Client, image_id: str, speaking_as: As) -> None:
    path = f"{BASE}/images/{image_id}/metadata"
    assert (await old.post(path, json={"metadata": {"a": "b"}})).json() == {
        "metadata": {"os_distro": "debian", "a": "b"}
    }
    assert (await old.put(path, json={"metadata": {"c": "d"}})).json() == {"metadata": {"c": "d"}}
    assert (await old.put(f"{path}/e", json={"meta": {"e": "f"}})).json() == {"meta": {"e": "f"}}
    assert (await old.put(f"{path}/e", json={"meta": {"g": "f"}})).status_code == 400
    assert (await old.get(f"{path}/e")).json() == {"meta": {"e": "f"}}
    assert (await old.delete(f"{path}/e")).status_code == 204
    assert (await old.delete(f"{path}/e")).status_code == 404
    assert (await old.get(path)).json() == {"metadata": {"c": "d"}}
    assert (await speaking_as(version="2.38").get(path)).status_code == 200
    assert (await speaking_as(version="2.39").get(path)).status_code == 404
    assert (await speaking_as("b" * 32, version="2.35").put(path, json={"metadata": {}})).status_code == 403


async def test_the_network(old: Client) -> None:
    for name in ("os-networks", "os-tenant-networks"):
        (one,) = (await old.get(f"{BASE}/{name}")).json()["networks"]
        assert one["id"] == NETWORK_ID
        assert (await old.get(f"{BASE}/{name}/{NETWORK_ID}")).json() == {"network": one}
        assert (await old.get(f"{BASE}/{name}/{NOBODY}")).status_code == 404
        assert (await old.post(f"{BASE}/{name}", json={"network": {}})).status_code == 403
    for name, key in (("os-security-groups", "security_groups"), ("os-floating-ips", "floating_ips")):
        assert (await old.get(f"{BASE}/{name}")).json() == {key: []}
        assert (await old.get(f"{BASE}/{name}/{NOBODY}")).status_code == 404
        assert (await old.post(f"{BASE}/{name}", json={})).status_code == 403


@pytest.mark.parametrize(
    "path", ["images", "images/detail", "os-volumes", "os-snapshots", "os-networks", "os-security-groups",
             "os-floating-ips", "os-floating-ip-pools"],
)  # fmt: skip
async def test_they_are_gone_with_2_36(speaking_as: As, path: str) -> None:
    codes: Any = [
        (await speaking_as(PROJECT, version=version).get(f"{BASE}/{path}")).status_code for version in ("2.35", "2.36")
    ]
    assert codes == [200, 404]
