"""What happens to servers by itself, on real QEMUs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.backends.local.stubborn import make_stubborn
from tests.crash.scenarios_servers import a_server, an_attachment
from tests.crash.stage import Stage, stage

from cyclades.backends.base import News
from cyclades.backends.local import listener, machine
from cyclades.backends.local.qmp import connected
from cyclades.engine import news
from cyclades.engine import world as assembly
from cyclades.engine.engine import Engine
from cyclades.model.errors import Failed
from cyclades.operations import server_start, volume_detach
from cyclades.operations.base import World
from cyclades.store import attachments, schema
from cyclades.store import operations as rows
from cyclades.store.database import Database

LIMIT = 60.0


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found


@contextlib.asynccontextmanager
async def following(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(news.follow(world, world.backends["local"]))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def settling(world: World) -> AsyncIterator[None]:
    """An engine runs."""
    task = asyncio.create_task(Engine(world, alone=True, first_pause=0.005).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(cloud: Stage, table: Any, row_id: str, status: str) -> Any:
    async with asyncio.timeout(LIMIT):
        while (row := await cloud.one(table, row_id)).status != status:  # noqa: ASYNC110 (rows tell nobody)
            await asyncio.sleep(0.02)
    return row


async def kill(cloud: Stage, server_id: str) -> None:
    """The server's QEMU, by hand."""
    backend: Any = cloud.world.backends["local"]
    os.kill(backend._home(server_id).pid(), signal.SIGKILL)
    async with asyncio.timeout(LIMIT):
        while backend._home(server_id).pid() is not None:  # noqa: ASYNC110 (a dying process tells nobody)
            await asyncio.sleep(0.02)


async def test_a_qemu_killed_by_hand(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    async with following(cloud.world):
        await kill(cloud, server_id)
        row = await until(cloud, schema.server, server_id, "SHUTOFF")
    assert (row.power, row.operation_id) == ("crashed", None)
    assert "unexpectedly" in row.reason
    assert (await cloud.one(schema.volume, volume_id)).status == "in-use"
    await cloud.do(lambda tx: server_start.start(tx, cloud.caller, server_id))
    row = await cloud.one(schema.server, server_id)
    assert (row.status, row.reason) == ("ACTIVE", None)
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_qemu_killed_while_nobody_looked(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    await kill(cloud, server_id)
    assert (await cloud.one(schema.server, server_id)).status == "ACTIVE"
    async with following(cloud.world):
        await until(cloud, schema.server, server_id, "SHUTOFF")
    await cloud.clear()


async def test_a_server_that_another_engine_made(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "LOOK", 0.05)
    other, _ = assembly.build(cloud.settings, cloud.db)
    await other.backends["local"].open()
    try:
        async with following(other):
            server_id = await a_server(cloud)
            await kill(cloud, server_id)
            await until(cloud, schema.server, server_id, "SHUTOFF")
    finally:
        await other.backends["local"].close()


async def test_news_waits_for_the_operation_that_owns_the_server(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    await cloud.db.write(
        lambda tx: tx.execute(schema.server.update().values(operation_id="other", task_state="powering-off"))
    )
    async with following(cloud.world):
        await kill(cloud, server_id)
        follower = news._Follower(cloud.world, cloud.world.backends["local"])
        assert await follower._settle(server_id) is False
        assert (await cloud.one(schema.server, server_id)).status == "ACTIVE"
        await cloud.db.write(lambda tx: tx.execute(schema.server.update().values(operation_id=None, task_state=None)))
        await until(cloud, schema.server, server_id, "SHUTOFF")
    await cloud.clear()


async def test_late_news_changes_nothing(cloud: Stage) -> None:
    """The machine died, and was started again before anybody read of its death."""
    server_id = await a_server(cloud)
    follower = news._Follower(cloud.world, cloud.world.backends["local"])
    before = await cloud.one(schema.server, server_id)
    assert await follower._settle(server_id) is True
    assert await cloud.one(schema.server, server_id) == before


async def test_a_volume_that_was_let_go_late(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id, volume_id = await an_attachment(cloud)
    backend: Any = cloud.world.backends["local"]
    unplug = backend.unplug

    async def refuse(*args: Any, **patience: float) -> None:
        raise Failed("The guest did not let go.")

    with monkeypatch.context() as patch:
        patch.setattr(backend, "unplug", refuse)
        await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
    assert (await cloud.one(schema.volume, volume_id)).status == "in-use"
    row = await cloud.db.read(lambda tx: attachments.get(tx, server_id, volume_id))
    await unplug(server_id, volume_id, row.generation, patience=10.0)

    def let_go(generation: int) -> Any:
        said = News(server_id, "unplugged", volume_id, generation)
        return cloud.db.write(lambda tx: news._complete_detach(tx, said))

    assert await let_go(row.generation - 1) is True  # of an older attachment: dropped
    assert await cloud.db.read(rows.open_ones) == []
    assert await let_go(row.generation) is True
    await cloud.settle()
    assert (await cloud.one(schema.volume, volume_id)).status == "available"
    assert await let_go(row.generation) is True  # told again: there is nothing left to do
    assert await cloud.db.read(rows.open_ones) == []
    assert await cloud.differences() == []
    await cloud.clear()


async def unplug_behind_our_back(cloud: Stage, server_id: str, volume_id: str) -> None:
    """As if the guest had let go by itself."""
    backend: Any = cloud.world.backends["local"]
    row = await cloud.db.read(lambda tx: attachments.get(tx, server_id, volume_id))
    async with connected(backend._home(server_id).operator) as monitor:
        await monitor.command("device_del", {"id": machine.device_id(volume_id, row.generation)})
    async with asyncio.timeout(LIMIT):
        while volume_id in {disk.volume_id for disk in (await backend.look(server_id)).disks}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_guest_that_lets_go_at_last(cloud: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real QEMU, whose guest is asked for the volume and does not answer until the machine is reset."""
    backend: Any = cloud.world.backends["local"]
    backend._program = make_stubborn(monkeypatch, tmp_path)
    cloud.settings.compute.unplug_seconds = 0.1
    server_id, volume_id = await an_attachment(cloud)
    for _ in range(2):
        await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
        row = await cloud.one(schema.volume, volume_id)
        assert (row.status, row.operation_id) == ("in-use", None)
        assert "did not let go of the volume within 0.1 seconds" in row.reason
        assert await cloud.differences() == []
    async with following(cloud.world), settling(cloud.world):
        async with connected(backend._home(server_id).operator) as monitor:
            await monitor.command("system_reset")
        row = await until(cloud, schema.volume, volume_id, "available")
    assert row.reason is None
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_volume_that_was_let_go_while_nobody_listened(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    await cloud.world.backends["local"].close()
    await unplug_behind_our_back(cloud, server_id, volume_id)
    assert (await cloud.one(schema.volume, volume_id)).status == "in-use"
    async with following(cloud.world), settling(cloud.world):
        await until(cloud, schema.volume, volume_id, "available")
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_root_that_was_let_go_stays_the_servers(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    (root,) = await cloud.db.read(lambda tx: attachments.of_server(tx, server_id))
    said = News(server_id, "unplugged", root.volume_id, root.generation)
    assert await cloud.db.write(lambda tx: news._complete_detach(tx, said)) is True
    assert await cloud.db.read(rows.open_ones) == []
    assert (await cloud.one(schema.volume, root.volume_id)).status == "in-use"
    await cloud.clear()
