"""A volume plugged into a running guest and taken away again, many times: its data are there each time."""

from __future__ import annotations

from tests import crash_cases
from tests.clouds import User
from tests.e2e.conftest import Booted
from tests.processes import wait_until


def test_again_and_again(demo: User, booted: list[Booted]) -> None:
    """Into one guest and another in turn, each of which finds what the other wrote."""
    guests = booted[:2]
    volume_id = demo.new_volume()
    written = "ok"
    rounds = 100 if crash_cases.everything() else 5
    for number in range(rounds):
        one = guests[number % 2]
        demo.attach(one.server_id, volume_id)
        one.guest.run(f"disk {volume_id} 60")
        read = one.guest.run(f"guest read {volume_id}; guest sum {volume_id} 1 900").splitlines()
        if number > 0:
            assert read == written.splitlines()
        assert one.guest.run(f"guest write {volume_id} round {number}; guest fill {volume_id} 1 900") == "ok\nok"
        written = one.guest.run(f"guest read {volume_id}; guest sum {volume_id} 1 900")
        assert written.startswith(f"ok round {number}\n")
        demo.detach(one.server_id, volume_id)
        wait_until("the disk is gone", lambda one=one: volume_id not in one.guest.run("guest disks"))  # type: ignore[misc]
    demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")
