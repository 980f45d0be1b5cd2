"""Servers outlive the process of their cloud, and what it had begun is finished by the next one."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from typing import Any

import pytest
from tests.clouds import Cloud, User
from tests.processes import frozen, guests, wait_until

from cyclades.config import load
from cyclades.engine import world as assembly
from cyclades.engine.audit import differences
from cyclades.store.database import Database


def query(cloud: Cloud, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What the database has, also when no process serves it."""
    with sqlite3.connect(f"file:{cloud.data}/cyclades.db?mode=ro", uri=True) as connection:
        return connection.execute(statement, values).fetchall()


def is_worked_on(cloud: Cloud, resource_id: str, step: str) -> bool:
    """Whether an engine is at a step of an operation (`kind/number`) on this resource."""
    kind, _, number = step.partition("/")
    wanted = "SELECT state, step FROM operation WHERE resource_id = ? AND kind = ? AND ended_at IS NULL"
    return query(cloud, wanted, resource_id, kind) == [("running", int(number))]


def audit(cloud: Cloud) -> list[object]:
    """What is not as it should be in a cloud that is stopped."""
    settings = load(None, {}, data=str(cloud.data))
    database = Database(settings.database_url)
    try:
        return list(asyncio.run(differences(assembly.build(settings, database)[0])))
    finally:
        database.close()


@pytest.fixture
def volume_id(demo: User, server: str) -> str:
    """A volume that `server` has."""
    found = demo.new_volume()
    demo.attach(server, found)
    return found


def test_a_stop_and_a_start(cloud: Cloud, demo: User, server: str, volume_id: str) -> None:
    pid = guests(cloud.data)[server]
    cloud.stop()
    assert guests(cloud.data)[server] == pid
    cloud.start()
    assert demo.server(server)["status"] == "ACTIVE"
    demo.detach(server, volume_id)
    assert guests(cloud.data)[server] == pid
    demo.delete_server(server)
    assert server not in guests(cloud.data)


def test_killed_in_the_middle_of_a_detach(cloud: Cloud, demo: User, server: str, volume_id: str) -> None:
    pid = guests(cloud.data)[server]
    with frozen(cloud.data, server):
        demo.ask_to_detach(server, volume_id)
        wait_until("the unplugging has begun", lambda: is_worked_on(cloud, volume_id, "volume_detach/0"))
        cloud.kill()
        assert query(cloud, "SELECT status FROM volume WHERE id = ?", volume_id) == [("detaching",)]
    cloud.start()
    demo.until_volume(volume_id, "available")
    assert demo.server(server)["status"] == "ACTIVE"
    assert guests(cloud.data)[server] == pid
    demo.attach(server, volume_id)


def test_killed_with_much_under_way(cloud: Cloud, demo: User, server: str, blank_image: str) -> None:
    """Wherever that finds each of them."""
    old = [demo.new_volume() for _ in range(2)]
    made = [demo.make_volume() for _ in range(4)]
    new = demo.make_server(blank_image)
    demo.ask("DELETE", f"/volume/v3/volumes/{old[0]}")
    demo.ask_to_attach(server, old[1])
    cloud.kill()
    cloud.start()
    for one in made:
        demo.until_volume(one, "available")
    demo.until_volume(old[1], "in-use")
    path = f"/volume/v3/volumes/{old[0]}"
    wait_until("the volume is gone", lambda: demo.request("GET", path).status_code == 404)
    demo.until_server(new, "ACTIVE")
    cloud.stop()
    assert audit(cloud) == []


def test_a_guest_that_died_while_nobody_looked(cloud: Cloud, demo: User, server: str, volume_id: str) -> None:
    cloud.stop()
    os.kill(guests(cloud.data)[server], signal.SIGKILL)
    wait_until("it is dead", lambda: server not in guests(cloud.data))
    cloud.start()
    found = demo.until_server(server, "SHUTOFF")
    assert "unexpectedly" in found["fault"]["message"]
    assert found["OS-EXT-STS:power_state"] == 6  # crashed
    assert demo.volume(volume_id)["status"] == "in-use"
    demo.act(server, "os-start")
    assert "fault" not in demo.until_server(server, "ACTIVE")
    demo.detach(server, volume_id)


@pytest.mark.parametrize("what", ["attach", "detach"])
def test_a_qemu_killed_in_the_middle(cloud: Cloud, demo: User, server: str, what: str) -> None:
    """Nothing is stuck: the operation ends, the server is seen to be down, and from there all goes on."""
    volume_id = demo.new_volume()
    if what == "detach":
        demo.attach(server, volume_id)
    with frozen(cloud.data, server) as kill_it:
        if what == "attach":
            demo.ask_to_attach(server, volume_id)
            wait_until("the plugging has begun", lambda: is_worked_on(cloud, volume_id, "volume_attach/1"))
        else:
            demo.ask_to_detach(server, volume_id)
            wait_until("the unplugging has begun", lambda: is_worked_on(cloud, volume_id, "volume_detach/0"))
        kill_it()
    found = demo.until_server(server, "SHUTOFF")
    assert "unexpectedly" in found["fault"]["message"]
    demo.until_volume(volume_id, "in-use" if what == "attach" else "available")
    demo.act(server, "os-start")
    demo.until_server(server, "ACTIVE")
    if what == "attach":
        demo.detach(server, volume_id)
    demo.delete_server(server)
    demo.ask("DELETE", f"/volume/v3/volumes/{volume_id}")
