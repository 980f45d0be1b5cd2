"""Clients that want the same at the same time, and what the guests then have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.clouds import User
from tests.e2e.conftest import Booted
from tests.processes import wait_until

ROUNDS = 5
MOST = 15  # volumes of a server, beside its root


def attachments(server_id: str) -> str:
    return f"/compute/v2.1/servers/{server_id}/os-volume_attachments"


def test_servers_race_for_a_volume_and_one_has_it(demo: User, booted: list[Booted]) -> None:
    """Nothing is left of the other's try: it has the next volume, as soon as it asks."""
    racers, volume_id = booted[:2], demo.new_volume()
    body = {"volumeAttachment": {"volumeId": volume_id}}

    def race(number: int) -> Any:
        return demo.request("POST", attachments(racers[number % 2].server_id), body)

    for _ in range(ROUNDS):
        with ThreadPoolExecutor(6) as clients:
            answers = list(clients.map(race, range(6)))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
        won = next(answer.json()["volumeAttachment"]["serverId"] for answer in answers if answer.is_success)
        demo.until_volume(volume_id, "in-use")
        for one in racers:
            if one.server_id == won:
                assert one.guest.run(f"disk {volume_id} 60")
            else:
                assert volume_id not in one.guest.run("guest disks")
                assert demo.ask("GET", attachments(one.server_id))["volumeAttachments"] == []
        demo.detach(won, volume_id)
    demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")


def test_many_clients_attach_to_one_server_at_once_and_detach(demo: User, booted: list[Booted]) -> None:
    one = booted[0]
    volumes = [demo.make_volume() for _ in range(MOST + 1)]
    for volume_id in volumes:
        demo.until_volume(volume_id, "available")

    def attach(volume_id: str) -> int:
        body = {"volumeAttachment": {"volumeId": volume_id}}
        return demo.request("POST", attachments(one.server_id), body).status_code

    with ThreadPoolExecutor(len(volumes)) as clients:
        codes = dict(zip(volumes, clients.map(attach, volumes), strict=True))
    assert sorted(codes.values()) == [200] * MOST + [403]
    taken = [volume_id for volume_id, code in codes.items() if code == 200]
    for volume_id in taken:
        demo.until_volume(volume_id, "in-use")
    write = "; ".join(f"disk {volume_id} 60 >/dev/null; guest write {volume_id} {volume_id}" for volume_id in taken)
    assert one.guest.run(write).splitlines() == ["ok"] * MOST
    read = "; ".join(f"guest read {volume_id}" for volume_id in taken)
    assert one.guest.run(read).splitlines() == [f"ok {volume_id}" for volume_id in taken]
    devices = {found["device"] for found in demo.ask("GET", attachments(one.server_id))["volumeAttachments"]}
    assert len(devices) == MOST

    with ThreadPoolExecutor(MOST) as clients:
        list(clients.map(lambda volume_id: demo.ask_to_detach(one.server_id, volume_id), taken))
    for volume_id in taken:
        demo.until_volume(volume_id, "available")
    wait_until("the disks are gone", lambda: not any(volume_id in one.guest.run("guest disks") for volume_id in taken))
    for volume_id in volumes:
        demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")
