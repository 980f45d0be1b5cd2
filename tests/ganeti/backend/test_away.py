"""A cluster that cannot work just now delays work, says why, and loses none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.backends.ganeti.trail import KeptTrail
from tests.backends.ground import Ground, until
from tests.ganeti.cell import Cell
from tests.ganeti.place import node_of

from cyclades.model.errors import Away, Failed, Passing

LIMIT = 120.0  # seconds


async def persistently(call: Callable[[], Awaitable[None]]) -> None:
    """As the engine does, at its pace."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                return await call()
            except Passing:
                await asyncio.sleep(0.5)


@contextmanager
def drained(cell: Cell) -> Iterator[None]:
    cell.run("gnt-cluster", "queue", "drain")
    try:
        yield
    finally:
        cell.run("gnt-cluster", "queue", "undrain")


@contextmanager
def wiping(cell: Cell) -> Iterator[None]:
    cell.run("gnt-cluster", "modify", "--prealloc-wipe-disks=yes")
    try:
        yield
    finally:
        cell.run("gnt-cluster", "modify", "--prealloc-wipe-disks=no")


async def test_without_rapi(no_guests: Ground, c1: Cell) -> None:
    spec, trail = await no_guests.spec(), KeptTrail()
    with c1.master.without("rapi"):
        with pytest.raises(Away, match="Ganeti cluster c1 cannot be reached"):
            await no_guests.backend.start(spec, trail=trail)
        with pytest.raises(Away):
            await no_guests.backend.look(spec.server_id)
    await persistently(lambda: no_guests.backend.start(spec, trail=trail))
    assert (await no_guests.seen(spec.server_id))[0] == "running"


async def test_with_a_frozen_master_daemon(no_guests: Ground, c1: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(no_guests.backend._rapi, "_answer_seconds", 2.0)  # type: ignore[attr-defined]
    spec, trail = await no_guests.spec(), KeptTrail()
    with c1.master.frozen("luxid"), pytest.raises(Away, match="does not answer in time"):
        await no_guests.backend.start(spec, trail=trail)
    monkeypatch.undo()
    await persistently(lambda: no_guests.backend.start(spec, trail=trail))
    assert (await no_guests.seen(spec.server_id))[0] == "running"


async def test_a_job_that_is_under_way_is_waited_for_through_a_restart_of_the_master_daemon(
    no_guests: Ground, c1: Cell
) -> None:
    spec, trail = await no_guests.spec(), KeptTrail()
    starting = asyncio.create_task(persistently(lambda: no_guests.backend.start(spec, trail=trail)))
    await until(lambda: trail.kept.get("create", "asked") != "asked")
    await asyncio.to_thread(c1.master.stop, "luxid")
    await asyncio.to_thread(c1.master.start, "luxid")
    await starting
    assert (await no_guests.seen(spec.server_id))[0] == "running"


async def test_with_a_drained_queue(no_guests: Ground, c1: Cell) -> None:
    spec, trail = await no_guests.spec(), KeptTrail()
    with drained(c1):
        with pytest.raises(Away, match=r"takes no work just now: .*drained"):
            await no_guests.backend.start(spec, trail=trail)
        assert trail.kept == {}
    await persistently(lambda: no_guests.backend.start(spec, trail=trail))
    assert (await no_guests.seen(spec.server_id))[0] == "running"


async def test_with_a_node_that_does_not_answer(no_guests: Ground, c1: Cell) -> None:
    spec, volume_id, trail = await no_guests.spec(), await no_guests.volume(), KeptTrail()
    await no_guests.backend.start(spec, trail=trail)
    await no_guests.backend.stop(spec.server_id, patience=0)
    plug = await no_guests.plug(spec.server_id, volume_id, 1)
    with node_of(c1, spec.server_id).without("noded"):
        for verb in (
            no_guests.backend.start(spec),
            no_guests.backend.plug(spec.server_id, plug),
            no_guests.backend.unplug(spec.server_id, spec.plugs[0].volume_id, 1, patience=0),
            no_guests.backend.delete(spec.server_id),
            no_guests.backend.look(spec.server_id),
        ):
            with pytest.raises(Away, match="node"):
                await verb
        seen = {server.server_id: server.power for server in await no_guests.backend.servers()}
        assert seen == {spec.server_id: "unknown"}
    await persistently(lambda: no_guests.backend.plug(spec.server_id, plug))
    assert (await no_guests.seen(spec.server_id))[1][volume_id] == (1, 1)


async def test_a_cluster_that_would_wipe_a_pools_disks_gets_none(no_guests: Ground, c1: Cell) -> None:
    spec, volume_id = await no_guests.spec(), await no_guests.volume()
    other = await no_guests.spec()
    await no_guests.backend.start(spec)
    plug = await no_guests.plug(spec.server_id, volume_id, 1)
    with wiping(c1):
        for verb in (
            no_guests.backend.start(other),
            no_guests.backend.plug(spec.server_id, plug),
            no_guests.backend.grown(spec.server_id, spec.plugs[0].volume_id, 2 * no_guests.size),
        ):
            with pytest.raises(Failed, match="prealloc_wipe_disks"):
                await verb
    assert await no_guests.seen(other.server_id) == ("missing", {})
    assert set((await no_guests.seen(spec.server_id))[1]) == {spec.plugs[0].volume_id}
