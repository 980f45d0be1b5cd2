"""A pool's work on disks that a real QEMU of the backend has open (tests/pools has the pool's side of it)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from tests.backends.ground import Ground
from tests.pools.disk_io import content

from cyclades.backends.base import Backend
from cyclades.backends.local import disks, machine
from cyclades.backends.local.home import Home
from cyclades.backends.local.live import LocalLiveDisk
from cyclades.backends.local.qmp import connected
from cyclades.model.errors import Failed, Passing
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.model.units import KIB, MIB
from cyclades.pools.base import LiveDisk, no_progress

HomeOf = Callable[[str], Home]
S, T = snapshot_disk("s"), snapshot_disk("t")


class Guest:
    """Writes to a volume of a running server as its guest would."""

    def __init__(self, ground: Ground, home: Home, volume_id: str) -> None:
        self.home, self.volume_id, self.disk = home, volume_id, volume_disk(volume_id)
        self.live: Callable[[], Awaitable[LiveDisk | None]] = partial(
            ground.backend.live_disk, home.server_id, volume_id
        )

    async def io(self, command: str) -> None:
        async with connected(self.home.operator) as monitor:
            words = f'qemu-io -d {machine.device_id(self.volume_id, 1)} "{command}"'
            assert await monitor.command("human-monitor-command", {"command-line": words}) == ""

    async def write(self, offset: int, byte: int) -> None:
        await self.io(f"write -P {byte} {offset} {KIB}")
        await self.io("flush")

    async def layers(self) -> int:
        """How many files QEMU has open for the volume."""
        async with connected(self.home.operator) as monitor:
            prefix = machine.node_prefix(self.volume_id)
            top = (await disks.present(monitor))[self.volume_id].node
            chain = [top, *(name for name, _ in await disks.below(monitor, top))]
            named = {n["node-name"] for n in await disks.nodes(monitor) if n["node-name"].startswith(prefix)}
            assert named <= set(chain)  # none is left over
            return len(chain)


@pytest.fixture
async def guest(ground: Ground, home: HomeOf) -> Guest:
    volume_id = await ground.volume(4 * MIB)
    spec = await ground.running(volume_id)
    return Guest(ground, home(spec.server_id), volume_id)


async def off(ground: Ground, guest: Guest) -> None:
    await ground.backend.stop(guest.home.server_id, patience=0)


async def test_snapshots_are_taken_and_merged_while_the_guest_writes(
    ground: Ground, guest: Guest, tmp_path: Path
) -> None:
    for byte, snapshot in ((1, S), (2, T)):
        await guest.write(byte * KIB, byte)
        for _ in range(2):
            await ground.pool.snapshot(guest.disk, snapshot, guest.live)
    await guest.write(3 * KIB, 3)
    assert await guest.layers() == 3
    first, second = (b"\0" * KIB + b"\1" * KIB, b"\2" * KIB)
    assert await content(ground.pool, S, tmp_path) == first.ljust(4 * MIB, b"\0")
    assert await content(ground.pool, T, tmp_path) == (first + second).ljust(4 * MIB, b"\0")
    await ground.pool.delete(T, guest.live)
    assert await guest.layers() == 2
    await ground.pool.delete(S, guest.live)
    assert await guest.layers() == 1
    await off(ground, guest)
    assert await content(ground.pool, guest.disk, tmp_path) == (first + second + b"\3" * KIB).ljust(4 * MIB, b"\0")


async def test_a_volume_grows_under_its_guest(ground: Ground, guest: Guest, tmp_path: Path) -> None:
    for _ in range(2):
        await ground.pool.extend(guest.disk, 8 * MIB, guest.live)
    await guest.write(8 * MIB - KIB, 1)
    with pytest.raises(Failed):
        await ground.pool.extend(guest.disk, 4 * MIB, guest.live)
    await off(ground, guest)
    assert await content(ground.pool, guest.disk, tmp_path) == bytes(8 * MIB - KIB) + b"\1" * KIB


async def test_it_is_plugged_out_whole_after_a_snapshot(ground: Ground, guest: Guest) -> None:
    """The layers that QEMU came by since are closed as well."""
    await ground.pool.snapshot(guest.disk, S, guest.live)
    await ground.backend.unplug(guest.home.server_id, guest.volume_id, 1, patience=10)
    assert await ground.is_free(guest.volume_id)
    async with connected(guest.home.operator) as monitor:
        prefix = machine.node_prefix(guest.volume_id)
        assert not [n for n in await disks.nodes(monitor) if n["node-name"].startswith(prefix)]


async def test_two_processes_reach_one_disk(ground: Ground, guest: Guest, twin: Backend) -> None:
    """`twin` opens nothing by itself: it looks at the same QEMU."""
    await ground.pool.snapshot(guest.disk, S, guest.live)
    assert await twin.live_disk(guest.home.server_id, guest.volume_id) is not None
    live = await guest.live()
    assert isinstance(live, LocalLiveDisk)
    await asyncio.gather(live.pull(None, no_progress), live.pull(None, no_progress))
    await live.pull(None, no_progress)
    assert await guest.layers() == 1


async def test_an_interrupted_copy_goes_on(ground: Ground, guest: Guest, tmp_path: Path) -> None:
    await guest.io(f"write -P 7 0 {4 * MIB}")
    await ground.pool.snapshot(guest.disk, S, guest.live)
    live = await guest.live()
    assert isinstance(live, LocalLiveDisk)
    assert await live._start_pull(f"pull-{machine.node_prefix(guest.volume_id)}", None)  # and the engine died
    await live.pull(None, no_progress)
    assert await guest.layers() == 1
    await off(ground, guest)
    assert await content(ground.pool, S, tmp_path) == b"\7" * 4 * MIB


async def test_a_layer_that_is_not_below(guest: Guest, ground: Ground) -> None:
    await ground.pool.snapshot(guest.disk, S, guest.live)
    live = await guest.live()
    assert live is not None
    with pytest.raises(Failed, match="not below"):
        await live.pull("/nowhere/layer.qcow2", no_progress)


async def test_a_disk_that_left_meanwhile(ground: Ground, guest: Guest) -> None:
    live = await guest.live()
    assert live is not None
    await ground.backend.unplug(guest.home.server_id, guest.volume_id, 1, patience=10)
    for call in (live.top(), live.resize(8 * MIB), live.pull(None, no_progress)):
        with pytest.raises(Passing):
            await call
    await off(ground, guest)
    with pytest.raises(Passing):
        await live.top()
