"""Disks of instances, with real guests and with hands that do things behind our back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.backends.contract import disks_of
from tests.backends.ganeti.trail import KeptTrail
from tests.backends.ground import Ground, persistently
from tests.ganeti.cell import Cell
from tests.ganeti.place import GanetiPlace, name_of, node_of

from cyclades.backends.base import Plug
from cyclades.model.errors import Failed
from cyclades.model.names import volume_disk
from cyclades.store.database import Database


async def test_a_guest_that_is_not_up_holds_a_disk_until_its_machine_is_off(machines: Ground, c1: Cell) -> None:
    """A trap of Ganeti's: the disk leaves its books, and stays in the machine."""
    spec, volume_id = await machines.running(), await machines.volume()
    server_id = spec.server_id
    await machines.backend.plug(server_id, await machines.plug(server_id, volume_id, 1))
    trail = KeptTrail()
    for _ in range(2):
        with pytest.raises(Failed, match="did not let go"):
            await machines.backend.unplug(server_id, volume_id, 1, patience=10, trail=trail)
        assert await machines.seen(server_id) == ("running", {**disks_of(spec), volume_id: (None, 1)})
        if c1.plan.version != "3.0":  # which has QEMU close it, whatever its guest does
            assert not await machines.is_free(volume_id)
    with pytest.raises(Failed, match="did not let go"):
        await machines.backend.unplug(server_id, volume_id, 1, patience=10)
    await machines.backend.stop(server_id, patience=0)
    assert await machines.seen(server_id) == ("stopped", disks_of(spec))
    await machines.backend.unplug(server_id, volume_id, 1, patience=10)
    await persistently(lambda: machines.pool.release(volume_disk(volume_id), f"{machines.backend.name}/{server_id}", 1))
    assert await machines.is_free(volume_id)


async def test_a_held_disk_is_free_when_its_server_is_switched_off_by_hand(machines: Ground, c1: Cell) -> None:
    spec, volume_id = await machines.running(), await machines.volume()
    await machines.backend.plug(spec.server_id, await machines.plug(spec.server_id, volume_id, 1))
    with pytest.raises(Failed, match="did not let go"):
        await machines.backend.unplug(spec.server_id, volume_id, 1, patience=10)
    await asyncio.to_thread(c1.run, "gnt-instance", "shutdown", "--timeout=0", name_of(spec.server_id))
    news = await machines.news("unplugged")
    assert (news.server_id, news.volume_id, news.generation) == (spec.server_id, volume_id, 1)
    assert await machines.seen(spec.server_id) == ("stopped", disks_of(spec))


async def test_a_disk_that_the_machine_does_not_take_is_taken_back(
    place: GanetiPlace, database: Database, machines: Ground
) -> None:
    """Its job is a success, which says `hotplug:failed`. Disks of the kind IDE cannot be plugged while QEMU runs."""
    backend = place.twin(database, hvparams={"disk_type": "ide"})
    spec, volume_id = await machines.spec(), await machines.volume()
    await backend.start(spec)
    plug = await machines.plug(spec.server_id, volume_id, 1)
    trail = KeptTrail()
    for _ in range(2):
        with pytest.raises(Failed, match="did not take the volume"):
            await backend.plug(spec.server_id, plug, trail=trail)
        assert await machines.seen(spec.server_id) == ("running", disks_of(spec))
    assert trail.kept.keys() == {f"hotplug:{volume_id}", f"undo:{volume_id}"}
    await persistently(lambda: machines.pool.release(plug.disk, f"{machines.backend.name}/{spec.server_id}", 1))
    assert await machines.is_free(volume_id)
    await backend.close()


async def test_a_guest_sees_disks_come_grow_and_go(ground: Ground, c1: Cell) -> None:
    spec, volume_id = await ground.running(), await ground.volume()
    server_id = spec.server_id
    await ground.until_up(server_id)
    node = await asyncio.to_thread(node_of, c1, server_id)
    console = node.console(name_of(server_id))
    try:
        await ground.backend.plug(server_id, await ground.plug(server_id, volume_id, 1))
        await asyncio.to_thread(console.wait, rf"^DISKS .*vdb=\S*:{ground.size}\b")
        await asyncio.to_thread(console.ask, "write vdb by the guest")
        live = await ground.backend.live_disk(server_id, volume_id)
        assert live is not None

        async def find() -> object:
            return live

        await ground.pool.extend(volume_disk(volume_id), 2 * ground.size, find)  # type: ignore[arg-type]
        if c1.plan.version != "3.0":  # where it takes a restart
            await asyncio.to_thread(console.wait, rf"^DISKS .*vdb=\S*:{2 * ground.size}\b")
        assert await asyncio.to_thread(console.ask, "read vdb") == "by the guest"
        await ground.backend.unplug(server_id, volume_id, 1, patience=10)
        assert "vdb" not in await asyncio.to_thread(console.ask, "disks")
    finally:
        console.close()
    seen = await ground.backend.look(server_id)
    assert {disk.volume_id for disk in seen.disks} == {spec.plugs[0].volume_id}


async def test_a_disk_that_grew_while_its_server_was_off_is_as_large_in_ganetis_books(no_guests: Ground) -> None:
    spec = await no_guests.spec()
    (root,) = spec.plugs
    await no_guests.backend.start(spec)
    await no_guests.backend.stop(spec.server_id, patience=0)
    await no_guests.pool.extend(root.disk, 2 * no_guests.size)
    for _ in range(2):
        await no_guests.backend.grown(spec.server_id, root.volume_id, 2 * no_guests.size)
        (disk,) = (await no_guests.backend.look(spec.server_id)).disks
        assert disk.size == 2 * no_guests.size
    await no_guests.backend.start(replace(spec, plugs=(replace(root, size=2 * no_guests.size),)))
    assert (await no_guests.seen(spec.server_id))[0] == "running"


async def test_a_renamed_disk_is_known_by_its_number(no_guests: Ground, c1: Cell) -> None:
    spec, volume_id = await no_guests.spec(), await no_guests.volume()
    await no_guests.backend.start(spec)
    await no_guests.backend.stop(spec.server_id, patience=0)
    plug = await no_guests.plug(spec.server_id, volume_id, 1)
    await no_guests.backend.plug(spec.server_id, plug)
    rename = (
        ["--disk", "1:modify,name=mine", "--no-hotplug"]
        if c1.plan.version != "3.0"
        else ["--disk", "1:modify,name=mine"]
    )
    await asyncio.to_thread(c1.run, "gnt-instance", "modify", *rename, name_of(spec.server_id))
    assert (await no_guests.seen(spec.server_id))[1] == {**disks_of(spec), volume_id: (1, 1)}
    await no_guests.backend.plug(spec.server_id, plug)
    assert (await no_guests.seen(spec.server_id))[1] == {**disks_of(spec), volume_id: (1, 1)}
    await no_guests.backend.unplug(spec.server_id, volume_id, 1, patience=10)
    assert (await no_guests.seen(spec.server_id))[1] == disks_of(spec)


async def test_a_disk_of_an_older_attachment_is_nobody_elses_to_take(no_guests: Ground) -> None:
    """The pool lets the newer attachment alone have it; so a plug that comes late is refused."""
    first, second = await no_guests.spec(), await no_guests.spec()
    for spec in (first, second):
        await no_guests.backend.start(spec)
        await no_guests.backend.stop(spec.server_id, patience=0)
    volume_id = await no_guests.volume()
    late: Plug = await no_guests.plug(first.server_id, volume_id, 1)
    await no_guests.pool.release(late.disk, f"{no_guests.backend.name}/{first.server_id}", 1)
    await no_guests.backend.plug(second.server_id, await no_guests.plug(second.server_id, volume_id, 1, 2))
    with pytest.raises(Failed):
        await no_guests.backend.plug(first.server_id, late)
    assert (await no_guests.seen(first.server_id))[1] == disks_of(first)
    assert (await no_guests.seen(second.server_id))[1][volume_id] == (1, 2)


async def test_instances_that_are_not_ours_are_left_alone(no_guests: Ground, c1: Cell) -> None:
    add = ["gnt-instance", "add", "-t", "diskless", "-H", "fake", "-o", "blank", "--no-install", "--no-start"]
    add += ["--no-name-check", "--no-ip-check", "--no-nics", "-n", c1.master.name]
    names = ["snf-web.cloud.test", "other.example.org", "snf-11111111-1111-4111-8111-111111111111.elsewhere.test"]
    try:
        for name in names:
            await asyncio.to_thread(c1.run, *add, name)
        assert await no_guests.backend.servers() == []
    finally:
        for name in names:
            await asyncio.to_thread(c1.run, "gnt-instance", "remove", "-f", name, check=False)
