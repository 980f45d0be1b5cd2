"""Servers and attachments on a real pool and real QEMUs; no guest boots in them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.crash.scenarios_servers import a_blank_volume, a_flavor, a_server, an_attachment
from tests.crash.stage import PROJECT, Stage, stage

from cyclades.model import quota
from cyclades.model.errors import Failed, Invalid, WrongState
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations import (
    server_console,
    server_create,
    server_delete,
    server_reboot,
    server_start,
    server_stop,
    snapshot_create,
    volume_attach,
    volume_create,
    volume_detach,
    volume_extend,
)
from cyclades.operations.block_device import IMAGE_ROOT, Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.operations.server_spec import spec_of
from cyclades.store import attachments, flavors, quotas, schema
from cyclades.store.database import Database, Tx


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found


async def server_row(cloud: Stage, server_id: str) -> Any:
    return await cloud.one(schema.server, server_id)


async def volume_row(cloud: Stage, volume_id: str) -> Any:
    return await cloud.one(schema.volume, volume_id)


async def plugged(cloud: Stage, server_id: str) -> dict[str, int | None]:
    """What the backend shows: the index of each volume."""
    return {disk.volume_id: disk.index for disk in (await cloud.world.backends["local"].look(server_id)).disks}


async def attach(cloud: Stage, server_id: str, volume_id: str, *, ends: bool = False) -> None:
    await cloud.do(
        lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id, tag=None, delete_on_termination=ends)
    )


async def usage(cloud: Stage) -> dict[str, int]:
    return await cloud.db.read(lambda tx: quotas.usage(tx, PROJECT))


async def test_a_server_with_several_volumes_comes_up_and_goes(cloud: Stage) -> None:
    existing = await a_blank_volume(cloud)
    goes, stays = Disk(new=Wanted(size=1), delete_on_termination=True), Disk(new=Wanted(size=1))
    server_id = await a_server(cloud, disks=(IMAGE_ROOT, goes, stays, Disk(volume_id=existing)))
    row = await server_row(cloud, server_id)
    assert (row.status, row.task_state, row.power, row.reason) == ("ACTIVE", None, "running", None)
    attached = await cloud.db.read(lambda tx: attachments.of_server(tx, server_id))
    assert [(one.disk_index, one.status) for one in attached] == [(index, "attached") for index in range(4)]
    assert await plugged(cloud, server_id) == {one.volume_id: one.disk_index for one in attached}
    assert {(await volume_row(cloud, one.volume_id)).status for one in attached} == {"in-use"}
    pool = cloud.world.pools["local"]
    owners = [await pool.find(volume_disk(one.volume_id)) for one in attached]
    assert {disk.owner for disk in owners if disk} == {f"local/{server_id}"}
    assert await cloud.differences() == []

    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    ends = [(await volume_row(cloud, one.volume_id)).status for one in attached]
    assert ends == ["deleted", "deleted", "available", "available"]
    assert (await server_row(cloud, server_id)).status == "DELETED"
    used = await usage(cloud)
    assert (used[quota.SERVERS], used[quota.CORES], used[quota.RAM], used[quota.VOLUMES]) == (0, 0, 0, 2)
    await cloud.clear()


async def test_a_server_that_does_not_come_up_leaves_nothing_but_its_reason(cloud: Stage) -> None:
    existing, flavor_id = await a_blank_volume(cloud), await a_flavor(cloud)
    before = await usage(cloud)
    await cloud.db.write(lambda tx: flavors.change(tx, flavor_id, ram=1 << 30))  # MiB that no machine has
    await cloud.db.write(lambda tx: quotas.set_limit(tx, PROJECT, quota.RAM, -1))
    disks = (IMAGE_ROOT, Disk(volume_id=existing), Disk(new=Wanted(size=1)))
    asked = Asked(name="one", flavor_id=flavor_id, image_id=await cloud.add_image(), disks=disks)
    server_id = await cloud.do(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    row = await server_row(cloud, server_id)
    assert row.status == "ERROR"
    assert row.reason
    assert (await volume_row(cloud, existing)).status == "available"
    used = await usage(cloud)
    assert used[quota.SERVERS] == 1
    assert {name: used[name] for name in (quota.VOLUMES, quota.DISK)} == {
        name: before[name] for name in (quota.VOLUMES, quota.DISK)
    }
    with pytest.raises(WrongState):
        await cloud.db.write(lambda tx: server_reboot.start(tx, cloud.caller, server_id, hard=True))
    await cloud.clear()


async def test_a_server_is_deleted_while_it_is_made(cloud: Stage) -> None:
    existing = await a_blank_volume(cloud)
    flavor_id, image_id = await a_flavor(cloud), await cloud.add_image()
    asked = Asked(name="one", flavor_id=flavor_id, image_id=image_id, disks=(IMAGE_ROOT, Disk(volume_id=existing)))
    server_id = await cloud.db.write(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    await cloud.db.write(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    await cloud.settle()
    assert (await server_row(cloud, server_id)).status == "DELETED"
    assert (await volume_row(cloud, existing)).status == "available"
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_volume_moves_from_one_server_to_another(cloud: Stage) -> None:
    first, volume_id = await an_attachment(cloud)
    second = await a_server(cloud)
    with pytest.raises(WrongState):
        await attach(cloud, second, volume_id)
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, first, volume_id))
    assert (await volume_row(cloud, volume_id)).status == "available"
    await attach(cloud, second, volume_id)
    assert volume_id not in await plugged(cloud, first)
    assert (await plugged(cloud, second))[volume_id] == 1
    assert (await volume_row(cloud, volume_id)).generation == 2
    await cloud.clear()


async def test_a_stopped_server_is_attached_to_and_has_it_when_it_starts(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    await cloud.do(lambda tx: server_stop.start(tx, cloud.caller, server_id))
    row = await server_row(cloud, server_id)
    assert (row.status, row.power) == ("SHUTOFF", "stopped")
    await attach(cloud, server_id, volume_id)
    await cloud.do(lambda tx: server_start.start(tx, cloud.caller, server_id))
    assert (await server_row(cloud, server_id)).status == "ACTIVE"
    assert (await plugged(cloud, server_id))[volume_id] == 1
    await cloud.clear()


async def test_what_was_accepted_together_takes_turns(cloud: Stage) -> None:
    """Two attaches and a stop of one server, all open at once: the server stops with both volumes."""
    server_id = await a_server(cloud)
    volumes = [await a_blank_volume(cloud) for _ in range(2)]

    def everything(tx: Any) -> None:
        for volume_id in volumes:
            volume_attach.start(tx, cloud.caller, server_id, volume_id, tag=None, delete_on_termination=True)
        server_stop.start(tx, cloud.caller, server_id)

    await cloud.do(everything)
    assert (await server_row(cloud, server_id)).status == "SHUTOFF"
    assert set(volumes) < set(await plugged(cloud, server_id))
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_guest_that_does_not_let_go_keeps_its_volume(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id, volume_id = await an_attachment(cloud)

    async def refuse(*args: Any, **patience: float) -> None:
        raise Failed("The guest did not let go of the volume within 25 s.")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.backends["local"], "unplug", refuse)
        await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
    row = await volume_row(cloud, volume_id)
    assert (row.status, row.reason) == ("in-use", "The guest did not let go of the volume within 25 s.")
    assert volume_id in await plugged(cloud, server_id)
    assert await cloud.differences() == []
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
    assert (await volume_row(cloud, volume_id)).status == "available"
    await cloud.clear()


async def test_the_root_stays(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    root = (await cloud.db.read(lambda tx: attachments.of_server(tx, server_id)))[0]
    with pytest.raises(Invalid, match="root disk"):
        await cloud.db.write(lambda tx: volume_detach.start(tx, cloud.caller, server_id, root.volume_id))
    assert (await volume_row(cloud, root.volume_id)).status == "in-use"


async def root_of(cloud: Stage, server_id: str) -> str:
    root = (await cloud.db.read(lambda tx: attachments.of_server(tx, server_id)))[0]
    assert root.is_root
    return str(root.volume_id)


async def snapshot(cloud: Stage, volume_id: str) -> str:
    values: dict[str, Any] = {"name": None, "description": None, "metadata": {}, "in_use": True}
    return await cloud.do(  # type: ignore[no-any-return]
        lambda tx: snapshot_create.start(tx, cloud.caller, cloud.settings, volume_id, **values)
    )


async def test_a_root_is_a_volume_that_counts_as_bytes_alone(cloud: Stage) -> None:
    """In use it is snapshotted and grows as any other."""
    server_id = await a_server(cloud)
    root = await root_of(cloud, server_id)
    before = await usage(cloud)
    assert (before[quota.VOLUMES], before[quota.GIGABYTES], before[quota.DISK]) == (0, 0, GIB)
    await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, root, 3))
    snapshot_id = await snapshot(cloud, root)
    row = await volume_row(cloud, root)
    assert (row.status, row.size, row.consumes_quota) == ("in-use", 3, False)
    taken = await cloud.one(schema.snapshot, snapshot_id)
    assert (taken.status, taken.size) == ("available", 3)
    after = await usage(cloud)
    assert (after[quota.VOLUMES], after[quota.GIGABYTES], after[quota.DISK]) == (0, 3, 3 * GIB)
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_snapshot_is_as_large_as_the_volume_when_it_is_taken(
    cloud: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extension that was accepted after it may come before it."""
    root = await root_of(cloud, await a_server(cloud))
    pool, grown = cloud.world.pools["local"], asyncio.Event()
    extend, take = pool.extend, pool.snapshot

    async def extend_first(*args: Any) -> None:
        await extend(*args)
        grown.set()

    async def snapshot_then(*args: Any) -> None:
        await grown.wait()
        await take(*args)

    def both(tx: Tx) -> str:
        values: dict[str, Any] = {"name": None, "description": None, "metadata": {}, "in_use": True}
        snapshot_id = snapshot_create.start(tx, cloud.caller, cloud.settings, root, **values)
        volume_extend.start(tx, cloud.caller, cloud.settings, root, 2)
        return snapshot_id

    with monkeypatch.context() as patch:
        patch.setattr(pool, "extend", extend_first)
        patch.setattr(pool, "snapshot", snapshot_then)
        snapshot_id = await cloud.do(both)
    assert (await cloud.one(schema.snapshot, snapshot_id)).size == 2
    made = await cloud.do(
        lambda tx: volume_create.start(
            tx, cloud.caller, cloud.settings, Wanted(source="snapshot", source_id=snapshot_id)
        )
    )
    row = await volume_row(cloud, made)
    assert (row.status, row.size) == ("available", 2)
    assert await cloud.differences() == []
    await cloud.clear()


@pytest.mark.parametrize("why", ["it is told to", "it has snapshots"])
async def test_a_root_that_outlives_its_server_is_a_volume_like_any_other(cloud: Stage, why: str) -> None:
    """It counts as one, whatever the limit."""
    server_id = await a_server(cloud)
    root = await root_of(cloud, server_id)
    if why == "it is told to":
        row = await cloud.db.read(lambda tx: attachments.get(tx, server_id, root))
        await cloud.db.write(lambda tx: attachments.change(tx, row.id, delete_on_termination=False))
    else:
        await snapshot(cloud, root)
    await cloud.db.write(lambda tx: quotas.set_limit(tx, PROJECT, quota.VOLUMES, 0))
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    row = await volume_row(cloud, root)
    assert (row.status, row.consumes_quota) == ("available", True)
    used = await usage(cloud)
    assert (used[quota.VOLUMES], used[quota.DISK]) == (1, GIB)
    assert await cloud.differences() == []
    await cloud.clear()


async def test_what_becomes_of_a_volume_is_what_was_said_last(cloud: Stage) -> None:
    goes, stays = Disk(new=Wanted(size=1), delete_on_termination=True), Disk(new=Wanted(size=1))
    server_id = await a_server(cloud, disks=(IMAGE_ROOT, goes, stays))
    _, first, second = await cloud.db.read(lambda tx: attachments.of_server(tx, server_id))
    await cloud.db.write(lambda tx: attachments.change(tx, first.id, delete_on_termination=False))
    await cloud.db.write(lambda tx: attachments.change(tx, second.id, delete_on_termination=True))
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    left = [(await volume_row(cloud, row.volume_id)).status for row in (first, second)]
    assert left == ["available", "deleted"]
    await cloud.clear()


async def test_a_guest_is_told_of_devices_with_tags(cloud: Stage) -> None:
    tagged = Disk(new=Wanted(size=1), delete_on_termination=True, tag="data")
    disks = (IMAGE_ROOT, Disk(new=Wanted(size=1)), tagged)
    server_id = await a_server(cloud, disks=disks, extra={"network_tag": "outside"})
    spec = await spec_of(cloud.world, server_id)
    told = json.loads(spec.config["config-2"]["openstack/latest/meta_data.json"])
    volume_id = spec.plugs[2].volume_id
    assert told["devices"] == [
        {"type": "disk", "bus": "scsi", "address": "0:0:2:0", "serial": volume_id, "tags": ["data"]},
        {"type": "nic", "bus": "pci", "mac": spec.nics[0].mac, "tags": ["outside"]},
    ]  # fmt: skip


async def test_a_volume_with_snapshots_outlives_its_server(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    await attach(cloud, server_id, volume_id, ends=True)
    await cloud.do(
        lambda tx: snapshot_create.start(
            tx, cloud.caller, cloud.settings, volume_id, name=None, description=None, metadata={}, in_use=True
        )
    )
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    assert (await volume_row(cloud, volume_id)).status == "available"
    await cloud.clear()


async def test_a_server_is_deleted_while_its_volume_grows(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)

    def both(tx: Any) -> None:
        server_delete.start(tx, cloud.caller, server_id)
        volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2)

    await cloud.do(both)
    row = await volume_row(cloud, volume_id)
    assert (row.status, row.size) == ("available", 2)
    assert await cloud.differences() == []
    await cloud.clear()


async def test_reboots_and_the_console(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    for hard in (False, True):
        await cloud.do(lambda tx, hard=hard: server_reboot.start(tx, cloud.caller, server_id, hard=hard))
        assert (await server_row(cloud, server_id)).status == "ACTIVE"
    op_id = await cloud.do(lambda tx: server_console.start(tx, cloud.caller, server_id, None))
    row = await cloud.operation(op_id)
    assert row.state == "done"
    assert isinstance(row.data["output"], str)


async def test_a_hard_reboot_starts_what_was_stopped(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    await cloud.do(lambda tx: server_stop.start(tx, cloud.caller, server_id))
    await cloud.do(lambda tx: server_reboot.start(tx, cloud.caller, server_id, hard=True))
    row = await server_row(cloud, server_id)
    assert (row.status, row.power) == ("ACTIVE", "running")


async def test_each_server_has_its_own_addresses(cloud: Stage) -> None:
    flavor_id, image_id = await a_flavor(cloud), await cloud.add_image()
    asked = Asked(name="one", flavor_id=flavor_id, image_id=image_id)
    for _ in range(3):
        await cloud.db.write(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    rows = await cloud.db.read(lambda tx: list(tx.execute(sa.select(schema.server.c.nics)).scalars()))
    for name in ("mac", "address", "forward"):
        assert len({nic[name] for nics in rows for nic in nics}) == 3
