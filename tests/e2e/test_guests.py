"""The main job: a real guest gets a volume, and what it wrote is there wherever the volume goes."""

from __future__ import annotations

import os
import signal

from tests.clouds import Cloud, User
from tests.e2e.conftest import Booted
from tests.processes import guests, wait_until

TEXT = "Bury me on the island, said the volume, and I shall remember."


def test_a_volume_moves_from_guest_to_guest(demo: User, booted: list[Booted]) -> None:
    first, second, _ = booted
    volume_id = demo.new_volume()
    demo.attach(first.server_id, volume_id)
    first.guest.run(f"disk {volume_id}")  # waits until it is there
    assert first.guest.run(f"guest size {volume_id}") == f"ok {1 << 30}"
    assert first.guest.run(f"guest write {volume_id} {TEXT}") == "ok"
    assert first.guest.run(f"guest fill {volume_id} 4 100") == "ok"
    written = first.guest.run(f"guest sum {volume_id} 4 100")
    demo.detach(first.server_id, volume_id)
    wait_until("the disk is gone", lambda: volume_id not in first.guest.run("guest disks"))

    demo.attach(second.server_id, volume_id)
    second.guest.run(f"disk {volume_id}")
    assert second.guest.run(f"guest read {volume_id}") == f"ok {TEXT}"
    assert second.guest.run(f"guest sum {volume_id} 4 100") == written
    demo.detach(second.server_id, volume_id)
    demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")


def test_a_qemu_killed_by_hand_loses_nothing_that_was_written(cloud: Cloud, demo: User, booted: list[Booted]) -> None:
    """The server is seen to be down, with the reason; started again it has its volume and all that was acknowledged."""
    _, second, _ = booted
    volume_id = demo.new_volume()
    demo.attach(second.server_id, volume_id)
    second.guest.run(f"disk {volume_id}")
    assert second.guest.run(f"guest write {volume_id} {TEXT}") == "ok"
    os.kill(guests(cloud.data)[second.server_id], signal.SIGKILL)
    down = demo.until_server(second.server_id, "SHUTOFF")
    assert "unexpectedly" in down["fault"]["message"]
    assert demo.volume(volume_id)["status"] == "in-use"
    demo.act(second.server_id, "os-start")
    assert "fault" not in demo.until_server(second.server_id, "ACTIVE")
    second.guest.until_up()
    assert second.guest.run(f"disk {volume_id}; guest read {volume_id}").endswith(f"ok {TEXT}")
    demo.detach(second.server_id, volume_id)
    demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")


def test_the_console_and_the_power_button(demo: User, booted: list[Booted]) -> None:
    """A guest that is asked to power off does so itself, in order."""
    _, second, _ = booted
    wanted = {"os-getConsoleOutput": {"length": 50}}
    path = f"/compute/v2.1/servers/{second.server_id}/action"
    assert "SSH " in demo.ask("POST", path, wanted)["output"]
    demo.act(second.server_id, "os-stop")
    demo.until_server(second.server_id, "SHUTOFF")
    assert "GUEST power button" in demo.ask("POST", path, wanted)["output"]
