"""Servers with real guests, from each source: they come up, know who they are, and find their disks by the serials."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clouds import KEY, Cloud, User
from tests.e2e.conftest import Booted, booted_by
from tests.processes import frozen, wait_until

SERVERS = "/compute/v2.1/servers"
NEW = {"OpenStack-API-Version": "compute 2.101, volume 3.71"}
USER_DATA = b"#!/bin/sh\necho hello\n"
TEXT = "Where have you been?"


def volume_of(source: str, source_id: str, **more: Any) -> dict[str, Any]:
    return {"source_type": source, "destination_type": "volume", "uuid": source_id, "boot_index": 0, **more}


def blank(**more: Any) -> dict[str, Any]:
    return {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "boot_index": -1, **more}


def make(user: User, *mapping: dict[str, Any], **more: Any) -> str:
    """A server with the keypair `KEY`."""
    flavors = {one["name"]: one["id"] for one in user.ask("GET", "/compute/v2.1/flavors")["flavors"]}
    asked = {"name": "from a source", "flavorRef": flavors["m1.nano"], "key_name": KEY, "networks": "auto", **more}
    if mapping:
        asked["block_device_mapping_v2"] = list(mapping)
    return str(user.ask("POST", SERVERS, {"server": asked}, headers=NEW)["server"]["id"])


def volumes_of(user: User, server_id: str) -> list[str]:
    """Those that are shown, in order."""
    found = user.ask("GET", f"{SERVERS}/{server_id}/os-volume_attachments")["volumeAttachments"]
    return [one["volumeId"] for one in found]


def root_of(user: User, server_id: str) -> str:
    """Shown or not."""
    in_use = user.ask("GET", "/volume/v3/volumes/detail", params={"status": "in-use"})["volumes"]
    mine = [one for one in in_use if one["attachments"][0]["server_id"] == server_id]
    return next(str(one["id"]) for one in mine if one["attachments"][0]["device"] == "/dev/sda")


def image_of(user: User, server_id: str) -> str:
    asked = {"createImage": {"name": "of a server"}}
    image_id = user.ask("POST", f"{SERVERS}/{server_id}/action", asked, headers=NEW)["image_id"]
    path = f"/image/v2/images/{image_id}"
    wait_until("the image is there", lambda: user.ask("GET", path)["status"] == "active")
    return str(image_id)


@contextmanager
def gone_afterwards(user: User) -> Iterator[list[str]]:
    """Inside, a list of servers, which are deleted at the end."""
    servers: list[str] = []
    yield servers
    for server_id in servers:
        user.ask("DELETE", f"{SERVERS}/{server_id}")
    for server_id in servers:
        path = f"{SERVERS}/{server_id}"
        wait_until("the server is gone", lambda path=path: user.request("GET", path).status_code == 404)  # type: ignore[misc]


def test_from_each_source(demo: User, small_image: str, ssh_key: Path) -> None:
    """From a volume, a snapshot and an image; then from the image of a server of volumes, and that of a server which an
    image booted: with the data that their disks had."""
    volume_id = demo.make_volume(size=1, imageRef=small_image)
    demo.until_volume(volume_id, "available")
    snapshot = demo.ask("POST", "/volume/v3/snapshots", {"snapshot": {"volume_id": volume_id}})["snapshot"]["id"]
    path = f"/volume/v3/snapshots/{snapshot}"
    wait_until("the snapshot is taken", lambda: demo.ask("GET", path)["snapshot"]["status"] == "available")
    told = {"metadata": {"color": "blue"}, "user_data": base64.b64encode(USER_DATA).decode(), "hostname": "the-first"}
    with gone_afterwards(demo) as servers:
        servers += [
            make(demo, blank(tag="data"), volume_of("volume", volume_id), blank(), **told),
            make(demo, volume_of("snapshot", snapshot)),
            make(demo, imageRef=small_image),
        ]
        first, second, third = (booted_by(demo, server_id, ssh_key) for server_id in servers)
        _finds_its_disks(first)
        _knows_who_it_is(first)
        assert volumes_of(demo, second.server_id)
        assert volumes_of(demo, third.server_id) == []

        # What is on their disks, the root's end included, is in what is made of their images.
        shown = volumes_of(demo, first.server_id)
        for one in shown[1:]:
            assert first.guest.run(f"guest write {one} {TEXT}") == "ok"
        sums = []
        for booted in (first, third):
            disk = root_of(demo, booted.server_id)
            assert booted.guest.run(f"guest fill {disk} 2 500") == "ok"
            sums.append(booted.guest.run(f"guest sum {disk} 2 500"))
        servers += [make(demo, imageRef=image_of(demo, booted.server_id)) for booted in (first, third)]
        copies = [booted_by(demo, server_id, ssh_key) for server_id in servers[3:]]
        for copy, expected in zip(copies, sums, strict=True):
            assert copy.guest.run(f"guest sum {root_of(demo, copy.server_id)} 2 500") == expected
        others = volumes_of(demo, copies[0].server_id)
        assert len({*others, *shown}) == 6
        for one in others[1:]:
            assert copies[0].guest.run(f"guest read {one}") == f"ok {TEXT}"
    assert demo.volume(volume_id)["status"] == "available"


def _finds_its_disks(booted: Booted) -> None:
    """Three volumes at once, by their serials."""
    found = dict(disk.split(":")[1:] for disk in booted.guest.run("guest disks").split()[1:])
    volumes = volumes_of(booted.user, booted.server_id)
    assert len(volumes) == 3
    assert {one: found.get(one) for one in volumes} == dict.fromkeys(volumes, str(1 << 30))


def _knows_who_it_is(booted: Booted) -> None:
    """By each of its config drives."""
    assert booted.guest.run("hostname") == "the-first"
    read = "mkdir -p /tmp/told; mount -o ro $(findfs LABEL={}) /tmp/told; cat /tmp/told/{}; umount /tmp/told"
    meta = json.loads(booted.guest.run(read.format("config-2", "openstack/latest/meta_data.json")))
    assert (meta["uuid"], meta["hostname"], meta["meta"]) == (booted.server_id, "the-first", {"color": "blue"})
    assert set(meta["public_keys"]) == {KEY}
    tagged = volumes_of(booted.user, booted.server_id)[1]
    assert [(device["serial"], device["tags"]) for device in meta["devices"]] == [(tagged, ["data"])]
    assert booted.guest.run(read.format("config-2", "openstack/latest/user_data")) == USER_DATA.decode().strip()
    nocloud = booted.guest.run(read.format("cidata", "meta-data")).splitlines()
    assert nocloud[:2] == [f"instance-id: {booted.server_id}", 'local-hostname: "the-first"']
    assert booted.guest.run(read.format("cidata", "user-data")) == USER_DATA.decode().strip()


def test_sixteen_disks_and_a_root_that_grows(demo: User, small_image: str, ssh_key: Path) -> None:
    root = {"source_type": "image", "destination_type": "local", "uuid": small_image, "boot_index": 0}
    with gone_afterwards(demo) as servers:
        servers.append(make(demo, root, *[blank() for _ in range(15)], imageRef=small_image))
        booted = booted_by(demo, servers[0], ssh_key)
        volumes = volumes_of(demo, servers[0])
        disks = booted.guest.run("guest disks")
        assert len(volumes) == 15
        assert all(volume_id in disks for volume_id in volumes)
        write = "; ".join(f"guest write {volume_id} number {number}" for number, volume_id in enumerate(volumes))
        assert booted.guest.run(write).splitlines() == ["ok"] * 15
        read = "; ".join(f"guest read {volume_id}" for volume_id in volumes)
        assert booted.guest.run(read).splitlines() == [f"ok number {number}" for number in range(15)]
        one_more = {"volumeAttachment": {"volumeId": demo.new_volume()}}
        answer = demo.request("POST", f"{SERVERS}/{servers[0]}/os-volume_attachments", one_more)
        assert answer.status_code == 403

        # The root is a volume, too: reached by its id, and grown while it is in use.
        root_id = root_of(demo, servers[0])
        assert root_id not in volumes
        size = int(booted.guest.run(f"guest size {root_id}").split()[1])
        body = {"os-extend": {"new_size": (size >> 30) + 1}}
        demo.ask("POST", f"/volume/v3/volumes/{root_id}/action", body, headers=NEW)
        wait_until("it has grown", lambda: booted.guest.run(f"guest size {root_id}") == f"ok {size + (1 << 30)}")
        answer = demo.request("DELETE", f"{SERVERS}/{servers[0]}/os-volume_attachments/{root_id}")
        assert answer.status_code == 400
        assert "root disk" in answer.text


def test_a_qemu_killed_while_an_image_is_made(cloud: Cloud, demo: User, server: str) -> None:
    """The image is what the crash leaves, and the server is seen to be down."""
    with frozen(cloud.data, server) as kill_it:
        asked = {"createImage": {"name": "of a dying server"}}
        image_id = demo.ask("POST", f"{SERVERS}/{server}/action", asked, headers=NEW)["image_id"]
        assert demo.server(server)["OS-EXT-STS:task_state"] == "image_snapshot"
        kill_it()
    path = f"/image/v2/images/{image_id}"
    wait_until("the image is there", lambda: demo.ask("GET", path)["status"] == "active")
    assert "unexpectedly" in demo.until_server(server, "SHUTOFF")["fault"]["message"]
    demo.act(server, "os-start")
    demo.until_server(server, "ACTIVE")
    demo.delete_server(server)
    demo.until_server(copy := demo.make_server(image_id), "ACTIVE")
    demo.delete_server(copy)
    demo.ask("DELETE", path)
