"""Plugging and unplugging in a running QEMU: what interrupted tries left, and guests that keep what they have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from tests.backends.contract import disks_of
from tests.backends.ground import LIMIT, Ground, persistently
from tests.backends.local.stubborn import make_stubborn
from tests.backends.other_process import Place

from cyclades.backends.base import News, SeenDisk
from cyclades.backends.local import LocalBackend, disks, machine
from cyclades.backends.local.disks import Present
from cyclades.backends.local.home import Home
from cyclades.backends.local.qmp import connected
from cyclades.model.errors import Failed, Passing

HomeOf = Callable[[str], Home]


async def nodes_of(home: Home, volume_id: str) -> set[str]:
    """The names of the volume's nodes in QEMU."""
    async with connected(home.operator) as monitor:
        return {
            n["node-name"]
            for n in await disks.nodes(monitor)
            if n["node-name"].startswith(machine.node_prefix(volume_id))
        }


# --- what an interrupted try left -----------------------------------------------------------------


async def test_a_node_without_a_device_is_used_or_closed(ground: Ground, home: HomeOf) -> None:
    """The engine died between the two commands of a plug, or of an unplug."""
    spec, volume_id = await ground.running(), await ground.volume()
    place, plug = home(spec.server_id), await ground.plug(spec.server_id, volume_id, 1)

    async def half() -> None:
        async with ground.pool.opening(plug.disk) as blockdev, connected(place.operator) as monitor:
            await monitor.command("blockdev-add", machine.node(plug, blockdev))

    await half()
    assert not await ground.is_free(volume_id)
    await ground.backend.plug(spec.server_id, plug)
    assert (await ground.seen(spec.server_id))[1][volume_id] == (1, 1)
    await ground.backend.unplug(spec.server_id, volume_id, 1, patience=10)
    assert await nodes_of(place, volume_id) == set()
    await half()
    await ground.backend.unplug(spec.server_id, volume_id, 1, patience=10)
    assert await nodes_of(place, volume_id) == set()
    assert await ground.is_free(volume_id)


async def test_a_plug_that_qemu_refuses_leaves_nothing(ground: Ground, home: HomeOf) -> None:
    spec, volume_id = await ground.running(), await ground.volume()
    with pytest.raises(Failed, match="QEMU refused to plug the volume in"):
        await ground.backend.plug(spec.server_id, await ground.plug(spec.server_id, volume_id, 0))  # the root is there
    assert await ground.seen(spec.server_id) == ("running", disks_of(spec))
    assert await nodes_of(home(spec.server_id), volume_id) == set()
    assert await ground.is_free(volume_id)


async def test_a_volume_is_not_plugged_twice_under_two_attachments(ground: Ground) -> None:
    spec, volume_id = await ground.running(), await ground.volume()
    await ground.backend.plug(spec.server_id, await ground.plug(spec.server_id, volume_id, 1, 1))
    with pytest.raises(Failed, match="another attachment"):
        await ground.backend.plug(spec.server_id, await ground.plug(spec.server_id, volume_id, 2, 2))
    assert (await ground.seen(spec.server_id))[1][volume_id] == (1, 1)


# --- guests that do not let go --------------------------------------------------------------------


@pytest.fixture
async def stubborn(place: Place, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ground]:
    """Its volumes ask their guest before they go."""
    backend = place.backend(qemu=make_stubborn(monkeypatch, place.directory))
    await backend.open()
    yield Ground(backend, ground.pool)
    await backend.close()


async def reset(home: Home) -> None:
    async with connected(home.operator) as monitor:
        await monitor.command("system_reset")


async def test_a_volume_that_is_kept_is_still_plugged_in(stubborn: Ground, home: HomeOf) -> None:
    volume_id = await stubborn.volume()
    spec = await stubborn.running(volume_id)
    for _ in range(2):  # QEMU waits for the first answer still when it is asked again
        with pytest.raises(Failed, match="did not let go of the volume"):
            await stubborn.backend.unplug(spec.server_id, volume_id, 1, patience=0.1)
        assert await stubborn.seen(spec.server_id) == ("running", disks_of(spec))
        assert await stubborn.backend.live_disk(spec.server_id, volume_id) is not None
        assert not await stubborn.is_free(volume_id)
    await reset(home(spec.server_id))
    assert await stubborn.news("unplugged") == News(spec.server_id, "unplugged", volume_id, 1)
    assert (await stubborn.seen(spec.server_id))[1] == disks_of_root(spec)
    assert await nodes_of(home(spec.server_id), volume_id) == set()
    assert await stubborn.is_free(volume_id)
    await stubborn.backend.unplug(spec.server_id, volume_id, 1, patience=0.1)  # as the late detach does
    await stubborn.backend.plug(spec.server_id, await stubborn.plug(spec.server_id, volume_id, 1, 2))
    assert (await stubborn.seen(spec.server_id))[1][volume_id] == (1, 2)


def disks_of_root(spec: Any) -> dict[str, tuple[int | None, int]]:
    return {spec.plugs[0].volume_id: (0, 1)}


async def test_a_guest_that_lets_go_while_somebody_waits_is_no_news(stubborn: Ground, home: HomeOf) -> None:
    volume_id = await stubborn.volume()
    spec = await stubborn.running(volume_id)
    with pytest.raises(Failed):
        await stubborn.backend.unplug(spec.server_id, volume_id, 1, patience=0.1)
    # Persistently: QEMU closes a device's files a moment after it has deleted it.
    unplugged = partial(stubborn.backend.unplug, spec.server_id, volume_id, 1, patience=LIMIT)
    waiting = asyncio.create_task(persistently(unplugged))
    async with asyncio.timeout(LIMIT):
        while not waiting.done():
            await reset(home(spec.server_id))
            await asyncio.wait([waiting], timeout=0.1)
    await waiting
    assert (await stubborn.seen(spec.server_id))[1] == disks_of_root(spec)
    # The listener hears of it as well, and of the server's end after it: that is told.
    async with connected(home(spec.server_id).operator) as monitor:
        await monitor.command("quit")
    async with asyncio.timeout(LIMIT):
        async for news in stubborn.backend.news():
            assert news.what != "unplugged"
            if news.what == "crashed":
                break


async def test_a_late_answer_about_an_older_attachment_is_dropped(
    ground: Ground, local: LocalBackend, home: HomeOf
) -> None:
    spec, volume_id = await ground.running(), await ground.volume()
    place = home(spec.server_id)
    await local.plug(spec.server_id, await ground.plug(spec.server_id, volume_id, 1, 2))
    for generation in (1, 2, 3):  # of the present one: it is not true, the machine has the volume
        assert await local._unplugged_late(place, SeenDisk(volume_id, None, generation)) is False
    assert (await ground.seen(spec.server_id))[1][volume_id] == (1, 2)
    assert await local._unplugged_late(place, SeenDisk("somebody-elses", None, 1)) is False
    assert (
        await local._unplugged_late(home("00000000-0000-4000-8000-000000000000"), SeenDisk(volume_id, None, 2)) is False
    )


async def test_a_machine_that_died_lets_go_of_what_its_guest_kept(
    stubborn: Ground, crash: Callable[[str], Awaitable[None]]
) -> None:
    volume_id = await stubborn.volume()
    spec = await stubborn.running(volume_id)
    with pytest.raises(Failed):
        await stubborn.backend.unplug(spec.server_id, volume_id, 1, patience=0.1)
    await crash(spec.server_id)
    await stubborn.backend.unplug(spec.server_id, volume_id, 1, patience=0.1)
    assert await stubborn.is_free(volume_id)


class RefusingGuest:
    """A monitor of a machine whose guest says no. QEMU tells of it for kinds of devices that we do not plug, so no
    real one does here."""

    def __init__(self, device: str) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.device = device

    @contextmanager
    def listening(self, *names: str) -> Iterator[asyncio.Queue[dict[str, Any]]]:
        assert "DEVICE_UNPLUG_GUEST_ERROR" in names
        yield self.events

    async def command(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        if name == "device_del":
            for device in ("somebody-elses", self.device):
                await self.events.put({"event": "DEVICE_UNPLUG_GUEST_ERROR", "data": {"device": device}})
            return None
        assert name == "query-block"
        top = {"ro": False, "node-name": "n", "image": {"filename": "f", "virtual-size": 1}}
        return [{"qdev": self.device, "inserted": top}]


async def test_a_guest_that_refuses_is_believed_at_once() -> None:
    device = machine.device_id("v", 1)
    there = Present(SeenDisk("v", None, 1), device, "n", "f", 1)
    monitor: Any = RefusingGuest(device)
    async with asyncio.timeout(LIMIT):
        with pytest.raises(Failed, match="refused to let go"):
            await disks.unplug(monitor, there, patience=LIMIT * 2)


async def test_files_that_qemu_still_works_on_are_waited_for(ground: Ground, home: HomeOf) -> None:
    spec, volume_id = await ground.running(), await ground.volume()
    await ground.backend.plug(spec.server_id, await ground.plug(spec.server_id, volume_id, 1))
    async with connected(home(spec.server_id).operator) as monitor:
        with pytest.raises(Passing, match="still works"):
            await disks.drop_nodes(monitor, volume_id)  # its device stands on them
