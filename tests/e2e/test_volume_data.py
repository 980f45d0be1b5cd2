"""What becomes of a volume's data, as a guest sees it: copies, snapshots, growth, revert and images."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from tests.clouds import User
from tests.e2e.conftest import Booted
from tests.processes import wait_until

FIRST, SECOND, THIRD = "as it was", "as it became", "as the copy became"
_ZEROS = sha256(bytes(4 << 20)).hexdigest()


class Data:
    """A guest's look at its volumes: a text at the beginning, four MiB at 100 MiB."""

    def __init__(self, booted: Booted) -> None:
        self.user, self.server_id, self.guest = booted.user, booted.server_id, booted.guest

    def plug(self, volume_id: str) -> None:
        self.user.attach(self.server_id, volume_id)
        self.guest.run(f"disk {volume_id}")  # waits until it is there

    def unplug(self, volume_id: str) -> None:
        self.user.detach(self.server_id, volume_id)
        wait_until("the disk is gone", lambda: volume_id not in self.guest.run("guest disks"))

    def write(self, volume_id: str, text: str) -> None:
        assert self.guest.run(f"guest write {volume_id} {text}") == "ok"

    def fill(self, volume_id: str) -> None:
        assert self.guest.run(f"guest fill {volume_id} 4 100") == "ok"

    def read(self, volume_id: str) -> tuple[str, str]:
        """The text, and the sum of the rest."""
        text, rest = self.guest.run(f"guest read {volume_id}; guest sum {volume_id} 4 100").splitlines()
        return text.removeprefix("ok "), rest


def test_what_a_guest_finds_in_its_volumes(demo: User, booted: list[Booted]) -> None:
    data = Data(booted[0])
    made = [demo.make_volume(server_id=data.server_id)]
    demo.until_volume(made[0], "in-use")
    volume_id = made[0]
    data.guest.run(f"disk {volume_id}")
    data.write(volume_id, FIRST)
    data.fill(volume_id)
    as_it_was = data.read(volume_id)
    assert as_it_was[0] == FIRST

    # A snapshot in use, and a clone of it: neither knows of what is written later, nor the volume of the clone's.
    asked = {"volume_id": volume_id, "force": True}
    snapshot_id = demo.ask("POST", "/volume/v3/snapshots", {"snapshot": asked})["snapshot"]["id"]
    wait_until("the snapshot is taken", lambda: _snapshot(demo, snapshot_id)["status"] == "available")
    data.write(volume_id, SECOND)
    clone_id = demo.make_volume(size=1, snapshot_id=snapshot_id)
    made.append(clone_id)
    demo.until_volume(clone_id, "available")
    data.plug(clone_id)
    assert data.read(clone_id) == as_it_was
    data.write(clone_id, THIRD)
    data.fill(clone_id)
    assert data.read(volume_id) == (SECOND, as_it_was[1])
    data.unplug(clone_id)

    # Grown in use: the guest sees it, finds its data, and zeros after them.
    _act(demo, volume_id, "os-extend", new_size=2)
    demo.until_volume(volume_id, "in-use")
    wait_until("it has grown", lambda: data.guest.run(f"guest size {volume_id}") == f"ok {2 << 30}")
    assert data.read(volume_id) == (SECOND, as_it_was[1])
    assert data.guest.run(f"guest sum {volume_id} 4 1024") == f"ok {_ZEROS}"

    # An image of it as it is, and a volume of that: identical.
    upload = {"image_name": "of a volume", "disk_format": "qcow2", "container_format": "bare", "force": True}
    image_id = _act(demo, volume_id, "os-volume_upload_image", **upload)["os-volume_upload_image"]["image_id"]
    demo.until_volume(volume_id, "in-use")
    assert demo.ask("GET", f"/image/v2/images/{image_id}")["status"] == "active"
    copy_id = demo.make_volume(size=2, imageRef=image_id)
    made.append(copy_id)
    demo.until_volume(copy_id, "available")
    data.plug(copy_id)
    assert data.read(copy_id) == (SECOND, as_it_was[1])
    data.unplug(copy_id)

    # Reverted at rest: as the snapshot has kept it, in the size that it has now.
    data.fill(volume_id)
    data.unplug(volume_id)
    _act(demo, volume_id, "revert", snapshot_id=snapshot_id)
    demo.until_volume(volume_id, "available")
    data.plug(volume_id)
    assert data.read(volume_id) == as_it_was
    assert data.guest.run(f"guest size {volume_id}; guest sum {volume_id} 4 1024") == f"ok {2 << 30}\nok {_ZEROS}"
    data.unplug(volume_id)

    demo.ask("DELETE", f"/volume/v3/snapshots/{snapshot_id}")
    path = f"/volume/v3/snapshots/{snapshot_id}"
    wait_until("the snapshot is gone", lambda: demo.request("GET", path).status_code == 404)
    for each in made:
        demo.ask("DELETE", f"/volume/v3/volumes/{each}")
    demo.ask("DELETE", f"/image/v2/images/{image_id}")


def _snapshot(user: User, snapshot_id: str) -> Any:
    return user.ask("GET", f"/volume/v3/snapshots/{snapshot_id}")["snapshot"]


def _act(user: User, volume_id: str, action: str, **asked: Any) -> Any:
    headers = {"OpenStack-API-Version": "volume 3.71"}
    return user.ask("POST", f"/volume/v3/volumes/{volume_id}/action", {action: asked}, headers=headers)
