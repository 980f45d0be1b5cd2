"""Volumes that go to another pool and back, with a guest that reads and writes them all the while; and with it off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.clouds import Cloud, User
from tests.e2e.conftest import OTHER_POOL, Booted
from tests.e2e.test_boot import root_of
from tests.processes import wait_until

MIBS = 24  # that the volume holds
# Texts, one after the other, each kept beside the disk once it is written; a file ends it.
_WRITING = (
    "rm -f /tmp/stop /tmp/written; (n=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); guest write {disk} text $n >/dev/null"
    " && echo text $n >/tmp/last; done; mv /tmp/last /tmp/written) </dev/null >/dev/null 2>&1 &"
)


@pytest.fixture
def far(cloud: Cloud) -> Iterator[str]:
    """The name of a volume type that keeps its disks in the other pool."""
    admin = cloud.user("openrc")
    asked = {"name": "far", "extra_specs": {"cyclades:pool": OTHER_POOL}}
    type_id = admin.ask("POST", "/volume/v3/types", {"volume_type": asked})["volume_type"]["id"]
    yield "far"
    admin.ask("DELETE", f"/volume/v3/types/{type_id}")


def _retype(user: User, volume_id: str, name: str) -> None:
    asked = {"new_type": name, "migration_policy": "on-demand"}
    user.ask("POST", f"/volume/v3/volumes/{volume_id}/action", {"os-retype": asked})


def _arrived(user: User, volume_id: str, name: str) -> Any:
    found = user.until_volume(volume_id, "in-use")
    assert found["volume_type"] == name
    return found


def _delete(demo: User, server_id: str, volume_id: str) -> None:
    demo.detach(server_id, volume_id)
    demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")
    wait_until("it is gone", lambda: demo.request("GET", f"/volume/v3/volumes/{volume_id}").status_code == 404)


def test_a_volume_goes_while_its_guest_writes(demo: User, booted: list[Booted], far: str) -> None:
    one, other = booted[:2]
    volume_id = demo.new_volume()
    near = demo.volume(volume_id)["volume_type"]
    demo.attach(one.server_id, volume_id)
    one.guest.run(f"disk {volume_id} 60")
    assert one.guest.run(f"guest fill {volume_id} {MIBS} 100") == "ok"
    filled = one.guest.run(f"guest sum {volume_id} {MIBS} 100")
    for name in (far, near):
        one.guest.run(_WRITING.format(disk=volume_id))
        wait_until("it writes", lambda: one.guest.run("cat /tmp/last 2>/dev/null || true"))
        _retype(demo, volume_id, name)
        _arrived(demo, volume_id, name)
        # It goes on with the new disk.
        last = one.guest.run("cat /tmp/last")
        wait_until("it still writes", lambda last=last: one.guest.run("cat /tmp/last") != last)  # type: ignore[misc]
        one.guest.run("touch /tmp/stop")
        wait_until("it has ended", lambda: one.guest.run("cat /tmp/written 2>/dev/null || true"))
        written = one.guest.run("cat /tmp/written")
        assert one.guest.run(f"guest read {volume_id}") == f"ok {written}"
        assert one.guest.run(f"guest sum {volume_id} {MIBS} 100") == filled
    _retype(demo, volume_id, far)
    _arrived(demo, volume_id, far)
    demo.detach(one.server_id, volume_id)
    # Nothing of it was only in the first guest's memory.
    demo.attach(other.server_id, volume_id)
    other.guest.run(f"disk {volume_id} 60")
    assert other.guest.run(f"guest read {volume_id}; guest sum {volume_id} {MIBS} 100") == f"ok {written}\n{filled}"
    _delete(demo, other.server_id, volume_id)


def test_a_volume_goes_while_its_server_is_off(demo: User, booted: list[Booted], far: str) -> None:
    one = booted[0]
    volume_id = demo.new_volume()
    demo.attach(one.server_id, volume_id)
    one.guest.run(f"disk {volume_id} 60")
    assert one.guest.run(f"guest fill {volume_id} 8 100; guest write {volume_id} before") == "ok\nok"
    filled = one.guest.run(f"guest sum {volume_id} 8 100")
    demo.act(one.server_id, "os-stop")
    demo.until_server(one.server_id, "SHUTOFF")
    _retype(demo, volume_id, far)
    demo.act(one.server_id, "os-start")  # which waits for the copy
    _arrived(demo, volume_id, far)
    demo.until_server(one.server_id, "ACTIVE")
    one.guest.until_up()
    one.guest.run(f"disk {volume_id} 60")
    assert one.guest.run(f"guest read {volume_id}; guest sum {volume_id} 8 100") == f"ok before\n{filled}"
    _delete(demo, one.server_id, volume_id)


def test_a_root_goes_under_its_guest(demo: User, booted: list[Booted], far: str) -> None:
    """And from there the machine boots again."""
    one = booted[1]
    root = root_of(demo, one.server_id)
    near = demo.volume(root)["volume_type"]
    _retype(demo, root, far)
    _arrived(demo, root, far)
    one.guest.run("guest ping")
    demo.act(one.server_id, "os-stop")
    demo.until_server(one.server_id, "SHUTOFF")
    demo.act(one.server_id, "os-start")
    demo.until_server(one.server_id, "ACTIVE")
    one.guest.until_up()
    _retype(demo, root, near)
    _arrived(demo, root, near)
