"""What is read-only, the guest cannot write, whatever it does; neither after its server was switched off and on."""

from __future__ import annotations

import pytest
from tests.clouds import User
from tests.e2e.conftest import Booted
from tests.processes import wait_until

_NO = "err input/output"


class Disk:
    """A volume in a guest: a text at its beginning, one MiB further on."""

    def __init__(self, booted: Booted, volume_id: str) -> None:
        self._guest, self._id = booted.guest, volume_id

    def _do(self, verb: str, *words: str) -> str:
        self._guest.run(f"disk {self._id} 60")  # waits until it is there
        return self._guest.run(f"guest {verb} {self._id} {' '.join(words)} || true")

    def is_read_only(self) -> bool:
        return self._do("ro") == "ok 1"

    def call_writable(self) -> None:
        """The guest's own mark alone."""
        self._guest.run(f"blockdev --setrw $(disk {self._id})")

    def write(self, text: str) -> list[str]:
        return [self._do("write", text), self._do("fill", "1", "100")]

    def content(self) -> list[str]:
        return [self._do("read"), self._do("sum", "1", "100")]


@pytest.mark.parametrize("by", ["flag", "mode"])
def test_a_volume_that_the_guest_cannot_write(demo: User, booted: list[Booted], by: str) -> None:
    one = booted[0]
    volume_id = demo.new_volume()
    disk = Disk(one, volume_id)
    demo.attach(one.server_id, volume_id)
    assert not disk.is_read_only()
    assert disk.write("first") == ["ok", "ok"]
    written = disk.content()
    _detach(demo, one, volume_id)

    if by == "flag":
        _act(demo, volume_id, "os-update_readonly_flag", readonly=True)
        demo.attach(one.server_id, volume_id)
    else:
        _act(demo, volume_id, "os-attach", instance_uuid=one.server_id, mountpoint="/dev/vdb", mode="ro")
        demo.until_volume(volume_id, "in-use")
    _require_refusal(disk, written)
    for action, status in (("os-stop", "SHUTOFF"), ("os-start", "ACTIVE")):
        demo.act(one.server_id, action)
        demo.until_server(one.server_id, status)
    one.guest.until_up()
    _require_refusal(disk, written)
    _detach(demo, one, volume_id)

    if by == "flag":
        _act(demo, volume_id, "os-update_readonly_flag", readonly=False)
    demo.attach(one.server_id, volume_id)
    assert disk.content() == written
    assert not disk.is_read_only()
    assert disk.write("second") == ["ok", "ok"]
    _detach(demo, one, volume_id)
    demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")


def _require_refusal(disk: Disk, written: list[str]) -> None:
    assert disk.is_read_only()
    assert disk.write("not to be") == [_NO, _NO]
    disk.call_writable()
    assert disk.write("nor so") == [_NO, _NO]
    assert disk.content() == written


def _detach(user: User, one: Booted, volume_id: str) -> None:
    user.detach(one.server_id, volume_id)
    wait_until("the disk is gone", lambda: volume_id not in one.guest.run("guest disks"))


def _act(user: User, volume_id: str, action: str, **asked: object) -> None:
    user.ask("POST", f"/volume/v3/volumes/{volume_id}/action", {action: asked})
