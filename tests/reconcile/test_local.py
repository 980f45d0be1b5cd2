"""Each thing that can differ on this machine is done for real behind the cloud's back; it is found, and mended only
when told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.crash.scenarios_reconcile import (
    HERE,
    mend,
    plugged_by_hand,
    seen,
    unknown_server,
    unowned_disk,
    unplugged_by_hand,
)
from tests.crash.scenarios_servers import a_blank_volume, a_server, a_stopped_server, an_attachment
from tests.crash.scenarios_volume_data import a_snapshot
from tests.crash.stage import Stage, stage

from cyclades.model import quota
from cyclades.model.errors import Passing, Refusal
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations import server_start, volume_delete, volume_extend
from cyclades.operations.base import new_id
from cyclades.reconcile.difference import DELETING, FIXES, Difference
from cyclades.reconcile.look import Report, at_pools, twice
from cyclades.store import attachments, schema
from cyclades.store.database import Database


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found


async def mended(cloud: Stage, fix: str) -> None:
    """As with `--fix-<fix>`."""
    assert await mend(cloud, [fix]) > 0


async def found_one(cloud: Stage, kind: str) -> Difference:
    """The only difference. That it was looked for has changed nothing."""
    one, *others = await seen(cloud)
    assert (one.kind, others) == (kind, [])
    assert (one,) == await seen(cloud)
    return one


def home(cloud: Stage, server_id: str) -> Any:
    backend: Any = cloud.world.backends[HERE]
    return backend._home(server_id)


async def kill(cloud: Stage, server_id: str) -> None:
    pid = home(cloud, server_id).pid()
    os.kill(pid, signal.SIGKILL)
    while home(cloud, server_id).pid() is not None:  # noqa: ASYNC110 (a dying process tells nobody)
        await asyncio.sleep(0.02)


async def test_nothing_differs(cloud: Stage) -> None:
    _, volume_id = await an_attachment(cloud)
    await a_snapshot(cloud, volume_id)
    await a_stopped_server(cloud)
    assert await seen(cloud) == ()
    await cloud.clear()


async def test_a_server_that_its_backend_has_lost(cloud: Stage) -> None:
    server_id, _ = await an_attachment(cloud)
    await kill(cloud, server_id)
    home(cloud, server_id).remove()
    one = await found_one(cloud, "server-missing")
    assert (one.resource, one.place, one.recorded) == (f"server {server_id}", HERE, "ACTIVE")
    await mended(cloud, "server-missing")
    row = await cloud.one(schema.server, server_id)
    assert (row.status, row.power) == ("SHUTOFF", "missing")
    assert "make it again" in row.reason
    assert await seen(cloud) == ()
    await cloud.do(lambda tx: server_start.start(tx, cloud.caller, server_id))
    assert (await cloud.one(schema.server, server_id)).status == "ACTIVE"
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_server_that_has_died(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    await kill(cloud, server_id)
    one = await found_one(cloud, "server-power")
    assert (one.recorded, one.found) == ("ACTIVE", "crashed")
    await mended(cloud, "server-power")
    row = await cloud.one(schema.server, server_id)
    assert (row.status, row.power) == ("SHUTOFF", "crashed")
    assert await seen(cloud) == ()
    await cloud.clear()


async def test_a_server_that_nobody_owns(cloud: Stage) -> None:
    server_id = await unknown_server(cloud)
    one = await found_one(cloud, "server-unknown")
    assert (one.resource, one.found) == (f"server {server_id}", "running, with no volume")
    await mended(cloud, "server-unknown")
    assert await cloud.world.backends[HERE].servers() == []
    assert await seen(cloud) == ()


async def test_a_volume_that_is_not_plugged_in(cloud: Stage) -> None:
    server_id, volume_id = await unplugged_by_hand(cloud)
    one = await found_one(cloud, "disk-missing")
    assert (one.resource, one.recorded) == (f"volume {volume_id}", f"attached to server {server_id}")
    await mended(cloud, "disk-missing")
    shown = await cloud.world.backends[HERE].look(server_id)
    assert volume_id in {disk.volume_id for disk in shown.disks}
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_volume_that_is_not_plugged_in_is_detached(cloud: Stage) -> None:
    server_id, volume_id = await unplugged_by_hand(cloud)
    await mended(cloud, "disk-detached")
    assert (await cloud.one(schema.volume, volume_id)).status == "available"
    assert len(await cloud.db.read(lambda tx: attachments.of_server(tx, server_id))) == 1
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_volume_that_is_plugged_in_without_being_attached(cloud: Stage) -> None:
    server_id, _ = await plugged_by_hand(cloud)
    kinds = {one.kind: one for one in await seen(cloud)}
    assert kinds.keys() == {"disk-elsewhere", "pool-owner"}
    assert kinds["disk-elsewhere"].found == f"plugged into server {server_id}"
    await mended(cloud, "disk-elsewhere")
    assert await seen(cloud) == ()
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_disk_of_no_volume(cloud: Stage) -> None:
    _, volume_id = await plugged_by_hand(cloud)
    await cloud.db.write(
        lambda tx: tx.execute(schema.volume.update().where(schema.volume.c.id == volume_id).values(deleted_at=1))
    )
    kinds = {one.kind: one for one in await seen(cloud)}
    assert kinds["disk-unknown"].mendings == ()
    assert kinds["disk-unknown"].advice
    assert "pool-disk-unowned" in kinds


async def test_a_disk_that_its_pool_has_lost(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    pool: Any = cloud.world.pools[HERE]
    (path,) = await pool.files(volume_disk(volume_id))
    path.unlink()
    one = await found_one(cloud, "pool-disk-missing")
    assert one.found == f"the file {path.name} is gone"
    await mended(cloud, "pool-disk-missing")
    row = await cloud.one(schema.volume, volume_id)
    assert (row.status, row.reason) == ("error", "The pool has lost the volume's disk.")
    assert await seen(cloud) == ()
    await cloud.do(lambda tx: volume_delete.start(tx, cloud.caller, volume_id))
    assert await cloud.differences() == []


async def test_a_disk_that_somebody_has_deleted(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    await cloud.world.pools[HERE].delete(volume_disk(volume_id))
    one = await found_one(cloud, "pool-disk-missing")
    assert (one.resource, one.found) == (f"volume {volume_id}", "no such disk")


async def test_a_disk_that_nobody_owns(cloud: Stage) -> None:
    disk = await unowned_disk(cloud)
    one = await found_one(cloud, "pool-disk-unowned")
    assert one.resource == f"disk {disk}"
    await mended(cloud, "pool-disk-unowned")
    assert await cloud.world.pools[HERE].disks() == []


async def test_a_disk_that_belongs_to_a_server(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    await cloud.world.pools[HERE].claim(volume_disk(volume_id), f"{HERE}/{new_id()}", 1)
    one = await found_one(cloud, "pool-owner")
    assert one.recorded == "not attached"
    await mended(cloud, "pool-owner")
    assert await seen(cloud) == ()
    await cloud.clear()


async def test_a_disk_of_a_server_that_is_said_to_be_nobodys(cloud: Stage) -> None:
    _, volume_id = await an_attachment(cloud)
    (found,) = [one for one in await cloud.world.pools[HERE].disks() if one.name == volume_disk(volume_id)]
    assert found.owner is not None
    await cloud.world.pools[HERE].release(found.name, found.owner, found.generation)
    one = await found_one(cloud, "pool-owner")
    assert (one.found, one.mendings) == ("belongs to nobody", ())
    assert one.advice


async def test_a_disk_that_has_grown(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    await cloud.world.pools[HERE].extend(volume_disk(volume_id), GIB + 512)
    one = await found_one(cloud, "disk-size")
    assert (one.recorded, one.found) == (f"{GIB} bytes", f"{GIB + 512} bytes")
    await mended(cloud, "disk-size")
    assert (await cloud.one(schema.volume, volume_id)).size == 2
    assert await seen(cloud) == ()
    assert await cloud.differences() == []
    await cloud.clear()


@pytest.mark.parametrize("make", [a_blank_volume, a_server, an_attachment])
async def test_what_an_operation_has_left(cloud: Stage, make: Callable[[Stage], Awaitable[Any]]) -> None:
    await make(cloud)
    table = schema.volume if make is a_blank_volume else schema.server if make is a_server else schema.attachment
    await cloud.db.write(lambda tx: tx.execute(table.update().values(operation_id=new_id())))
    found = await seen(cloud)
    assert {one.kind for one in found} == {"operation-stuck"}
    await mended(cloud, "operation-stuck")
    assert await seen(cloud) == ()
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_volume_that_nobody_makes_any_more(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    await cloud.db.write(lambda tx: tx.execute(schema.volume.update().values(status="extending")))
    one = await found_one(cloud, "operation-stuck")
    assert (one.recorded, one.found) == ("extending", "no operation is at work on it")
    await mended(cloud, "operation-stuck")
    assert (await cloud.one(schema.volume, volume_id)).status == "available"
    await cloud.clear()


async def test_usage_that_is_not_the_sum(cloud: Stage) -> None:
    _, volume_id = await an_attachment(cloud)
    await a_snapshot(cloud, volume_id)
    usage = schema.quota_usage
    more = usage.update().where(usage.c.resource.in_([quota.DISK, quota.SERVERS])).values(used=usage.c.used + 5)
    await cloud.db.write(lambda tx: tx.execute(more))
    assert sorted(one.recorded.split()[-1] for one in await seen(cloud)) == [quota.DISK, quota.SERVERS]
    await mended(cloud, "quota")
    assert await seen(cloud) == ()
    assert await cloud.differences() == []
    await cloud.clear()


async def test_what_is_on_its_way_is_passed_over(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    await cloud.world.pools[HERE].extend(volume_disk(volume_id), 2 * GIB)
    await found_one(cloud, "disk-size")
    await cloud.db.write(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2))
    assert await seen(cloud) == ()
    await cloud.settle()
    assert await cloud.differences() == []


async def test_what_was_seen_once_is_no_difference(cloud: Stage) -> None:
    """It was about to be made, or to go."""
    disk = await unowned_disk(cloud)
    pool = cloud.world.pools[HERE]
    looks = {HERE: at_pools(cloud.world)[HERE]}

    async def look() -> list[Difference]:
        found = await looks[HERE]()
        await pool.delete(disk)
        return found

    assert await twice({HERE: look}, pause=0) == Report((), {})


async def test_what_does_not_answer_is_told(cloud: Stage) -> None:
    await unowned_disk(cloud)

    async def away() -> list[Difference]:
        raise Passing("It is busy.")

    report = await twice({"busy": away, **at_pools(cloud.world)}, pause=0)
    assert [one.kind for one in report.differences] == ["pool-disk-unowned"]
    assert report.unseen == {"busy": "It is busy."}


async def test_what_has_changed_since_is_left_alone(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    await kill(cloud, server_id)
    one = await found_one(cloud, "server-power")
    await cloud.db.write(lambda tx: tx.execute(sa.update(schema.server).values(updated_at=schema.now())))
    with pytest.raises(Refusal, match="changed meanwhile"):
        await cloud.db.write(lambda tx: one.mendings[0].accept(tx, cloud.settings, lambda _: cloud.caller))
    assert (await cloud.one(schema.server, server_id)).status == "ACTIVE"


def test_nothing_is_deleted_unasked() -> None:
    assert FIXES.keys() > DELETING
