"""Each thing that an operator can do on a cluster behind our back, done with Ganeti's own tools; it is found, and
mended only when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.scenarios_reconcile import mend, seen
from tests.crash.scenarios_servers import a_flavor
from tests.ganeti import place
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.place import name_of
from tests.ganeti.stage import GanetiStage, ganeti_stage

from cyclades.backends.ganeti.rapi import Rapi
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations import server_create, server_start, server_stop, volume_attach, volume_create
from cyclades.operations.base import new_id
from cyclades.operations.block_device import Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.reconcile.difference import DELETING, FIXES, Difference
from cyclades.reconcile.look import at_servers, twice
from cyclades.store import backend_disks, schema
from cyclades.store.database import Database

UNCHECKED = ("--no-name-check", "--no-ip-check", "--no-conflicts-check")


@pytest.fixture
async def cloud(database: Database, tmp_path: Path, cells: Cells) -> AsyncIterator[GanetiStage]:
    async with ganeti_stage(database, tmp_path / "cloud", cells) as stage:
        yield stage


async def found_one(cloud: GanetiStage, kind: str) -> Difference:
    """The only difference. That it was looked for has changed nothing."""
    one, *others = await seen(cloud)
    assert (one.kind, others) == (kind, [])
    assert (one,) == await seen(cloud)
    return one


async def clear(cloud: GanetiStage) -> None:
    """All is as it should be, and can go."""
    assert await seen(cloud) == ()
    assert await cloud.differences() == []
    await cloud.clear()


def modify(cell: Cell, server_id: str, *words: str) -> None:
    cell.run("gnt-instance", "modify", *words, name_of(server_id))


async def a_volume(cloud: GanetiStage, type_name: str | None = None) -> str:
    wanted = Wanted(size=1, type=type_name)
    return str(await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, wanted)))


async def a_server(cloud: GanetiStage, type_name: str | None = None) -> str:
    """On c1, switched off: a machine that `fake` runs takes no disks."""
    root_id = await a_volume(cloud, type_name)
    bootable = schema.volume.update().where(schema.volume.c.id == root_id).values(bootable=True)
    await cloud.db.write(lambda tx: tx.execute(bootable))
    root = Disk(volume_id=root_id, boot_index=0, delete_on_termination=True)
    asked = Asked(name="one", flavor_id=await a_flavor(cloud), disks=(root,), host="c1")
    server_id: str = await cloud.do(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    await cloud.do(lambda tx: server_stop.start(tx, cloud.caller, server_id))
    return server_id


async def attached(cloud: GanetiStage, type_name: str | None = None) -> tuple[str, str]:
    """A server and a volume attached to it."""
    server_id, volume_id = await a_server(cloud, type_name), await a_volume(cloud, type_name)
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id))
    return server_id, volume_id


async def uuid_of(cloud: GanetiStage, volume_id: str) -> str:
    row = await cloud.db.read(lambda tx: backend_disks.of_volume(tx, volume_id))
    assert row is not None
    return str(row.uuid)


async def disks_of(cloud: GanetiStage, server_id: str) -> set[str]:
    return {disk.volume_id for disk in (await cloud.world.backends["c1"].look(server_id)).disks}


async def test_an_instance_removed(cloud: GanetiStage, c1: Cell) -> None:
    server_id, volume_id = await attached(cloud)
    c1.run("gnt-instance", "remove", "--force", "--shutdown-timeout=0", name_of(server_id))
    one = await found_one(cloud, "server-missing")
    assert (one.resource, one.place, one.recorded) == (f"server {server_id}", "c1", "SHUTOFF")
    assert await mend(cloud, ["server-missing"]) == 1
    row = await cloud.one(schema.server, server_id)
    assert (row.status, row.power) == ("SHUTOFF", "missing")
    assert await seen(cloud) == ()
    await cloud.do(lambda tx: server_start.start(tx, cloud.caller, server_id))
    row = await cloud.one(schema.server, server_id)
    assert row.status == "ACTIVE", row.reason
    assert volume_id in await disks_of(cloud, server_id)
    await clear(cloud)


async def test_an_instance_of_ours_that_we_do_not_know(cloud: GanetiStage, c1: Cell) -> None:
    server_id, like = new_id(), ("-t", "diskless", "-o", place.OS, "--no-install", "--no-start", "-H", "fake")
    c1.run("gnt-instance", "add", *like, "-n", c1.master.name, *UNCHECKED, "--no-nics", name_of(server_id))
    c1.run("gnt-instance", "add", *like, "-n", c1.master.name, *UNCHECKED, "--no-nics", "another.cloud.test")
    one = await found_one(cloud, "server-unknown")
    assert (one.resource, one.found) == (f"server {server_id}", "stopped, with no volume")
    assert await mend(cloud, FIXES.keys() - DELETING) == 0
    assert await mend(cloud, ["server-unknown"]) == 1
    assert c1.run("gnt-instance", "list", "--no-headers", "-o", "name").split() == ["another.cloud.test"]
    assert await seen(cloud) == ()


async def test_an_instance_started_and_given_more(cloud: GanetiStage, c1: Cell) -> None:
    server_id = await a_server(cloud)
    modify(c1, server_id, "-B", "memory=96,vcpus=2")
    one = await found_one(cloud, "server-size")
    assert (one.recorded, one.found, one.mendings) == ("1 vcpus, 64 MiB", "2 vcpus, 96 MiB", ())
    await cloud.do(lambda tx: server_start.start(tx, cloud.caller, server_id))
    assert await seen(cloud) == ()
    c1.run("gnt-instance", "shutdown", "--timeout=0", name_of(server_id))
    one = await found_one(cloud, "server-power")
    assert (one.recorded, one.found) == ("ACTIVE", "stopped")
    assert await mend(cloud, ["server-power"]) == 1
    assert (await cloud.one(schema.server, server_id)).status == "SHUTOFF"
    c1.run("gnt-instance", "startup", name_of(server_id))
    one = await found_one(cloud, "server-power")
    assert (one.recorded, one.found) == ("SHUTOFF", "running")
    assert await mend(cloud, ["server-power"]) == 1
    assert (await cloud.one(schema.server, server_id)).status == "ACTIVE"
    await clear(cloud)


@pytest.mark.parametrize("fix", ["disk-missing", "disk-detached"])
async def test_a_disk_of_a_pool_removed(cloud: GanetiStage, c1: Cell, fix: str) -> None:
    server_id, volume_id = await attached(cloud)
    modify(c1, server_id, "--disk", "1:remove")
    one = await found_one(cloud, "disk-missing")
    assert (one.resource, one.recorded) == (f"volume {volume_id}", f"attached to server {server_id}")
    assert await mend(cloud, [fix]) == 1
    again = fix == "disk-missing"
    row = await cloud.one(schema.volume, volume_id)
    assert row.status == ("in-use" if again else "available"), row.reason
    assert (volume_id in await disks_of(cloud, server_id)) == again
    await clear(cloud)


async def test_a_disk_detached_and_attached_to_another_instance(cloud: GanetiStage, c1: Cell) -> None:
    server_id, volume_id = await attached(cloud, "sharedfile")
    other_id, uuid = await a_server(cloud, "sharedfile"), await uuid_of(cloud, volume_id)
    modify(c1, server_id, "--disk", "1:detach")
    await found_one(cloud, "disk-missing")
    modify(c1, other_id, "--disk", f"attach:uuid={uuid}")
    kinds = {one.kind: one for one in await seen(cloud)}
    assert kinds.keys() == {"disk-missing", "disk-elsewhere"}
    assert kinds["disk-missing"].found == kinds["disk-elsewhere"].found == f"plugged into server {other_id}"
    assert (kinds["disk-elsewhere"].recorded, kinds["disk-elsewhere"].mendings) == (
        f"attached to server {server_id}",
        (),
    )
    modify(c1, other_id, "--disk", "1:detach")
    assert await mend(cloud, ["disk-missing"]) == 1
    assert volume_id in await disks_of(cloud, server_id)
    assert await uuid_of(cloud, volume_id) == uuid
    await clear(cloud)


async def test_disks_renamed_and_added(cloud: GanetiStage, c1: Cell) -> None:
    server_id, volume_id = await attached(cloud, "sharedfile")
    modify(c1, server_id, "--disk", "1:modify,name=mine")
    one = await found_one(cloud, "disk-renamed")
    assert (one.resource, one.recorded, one.found) == (f"volume {volume_id}", volume_disk(volume_id), "mine")
    assert await mend(cloud, ["disk-renamed"]) == 1
    assert await seen(cloud) == ()
    modify(c1, server_id, "--disk", "add:size=64m,name=added")
    one = await found_one(cloud, "disk-unknown")
    assert (one.resource, one.mendings) == (f"server {server_id}", ())
    assert "added, 67108864 bytes" in one.found
    modify(c1, server_id, "--disk", "2:remove")
    modify(c1, server_id, "--disk", f"add:size=64m,name={volume_disk(stranger := new_id())}")
    one = await found_one(cloud, "disk-unknown")
    assert (one.resource, one.mendings) == (f"volume {stranger}", ())
    modify(c1, server_id, "--disk", "2:remove")
    await clear(cloud)


async def test_a_disk_grown(cloud: GanetiStage, c1: Cell) -> None:
    server_id, volume_id = await attached(cloud, "sharedfile")
    c1.run("gnt-instance", "grow-disk", name_of(server_id), "1", "512m")
    one = await found_one(cloud, "disk-size")
    assert (one.recorded, one.found) == (f"{GIB} bytes", f"{GIB + (512 << 20)} bytes")
    assert await mend(cloud, ["disk-size"]) == 1
    row = await cloud.one(schema.volume, volume_id)
    assert (row.status, row.size) == ("in-use", 2), row.reason
    await clear(cloud)


async def test_a_cluster_that_does_not_answer(cloud: GanetiStage, c1: Cell) -> None:
    with c1.master.without("rapi"):
        report = await twice(at_servers(cloud.world), pause=0)
    assert report.unseen.keys() == {"c1"}
    assert report.differences == ()


async def test_one_request_for_all_servers(cloud: GanetiStage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ask, me = [], Rapi._ask, asyncio.current_task()

    async def counted(self: Rapi, *words: Any) -> Any:
        if asyncio.current_task() is me:  # the backend looks by itself, too
            asked.append(words)
        return await ask(self, *words)

    for _ in range(2):
        await attached(cloud)
        with monkeypatch.context() as patch:
            patch.setattr(Rapi, "_ask", counted)
            assert await at_servers(cloud.world)["c1"]() == []
    assert len(asked) == 2
    await clear(cloud)
