"""What happens to a disk while an instance has it, in the order in which Ganeti asks for it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.pools.disk_io import content, open_elsewhere
from tests.pools.disk_io import write as write_at_rest
from tests.provider.conftest import OWNER, fill
from tests.provider.node import InstanceDisk, Node, Refusal, Running, read, size, write

from cyclades.model.errors import Full, Passing
from cyclades.model.names import image_disk, snapshot_disk
from cyclades.model.units import KIB, MIB
from cyclades.pools.base import at_rest
from cyclades.pools.qcow2 import Qcow2Pool


async def test_what_a_guest_writes_is_in_the_pool(
    pool: Qcow2Pool, claimed: InstanceDisk, here: Node, tmp_path: Path
) -> None:
    await write_at_rest(pool, claimed.disk, 4 * MIB, KIB, 7)
    await claimed.add()
    device = await claimed.start()
    assert size(device) == 8 * MIB
    assert read(device, 4 * MIB, KIB) == b"\7" * KIB
    write(device, 0, b"\1" * KIB)
    await claimed.stop()
    assert await here.leftovers() == []
    assert read(await claimed.start(), 0, KIB) == b"\1" * KIB
    await claimed.remove()
    assert await here.leftovers() == []
    await pool.release(claimed.disk, OWNER, 1)
    expected = (b"\1" * KIB).ljust(4 * MIB, b"\0") + (b"\7" * KIB).ljust(4 * MIB, b"\0")
    assert await content(pool, claimed.disk, tmp_path) == expected


async def test_a_disk_goes_from_one_cluster_to_another(
    pool: Qcow2Pool, claimed: InstanceDisk, nodes: Callable[[str], Node]
) -> None:
    await claimed.add()
    write(await claimed.start(), 0, b"\1" * KIB)
    await claimed.remove()
    await pool.release(claimed.disk, OWNER, 1)
    await pool.claim(claimed.disk, "c2/server-b", 2, card=True)
    other = InstanceDisk(nodes("c2"), claimed.volume, owner="c2/server-b", generation=2)
    await other.add()
    assert read(await other.start(), 0, KIB) == b"\1" * KIB
    with pytest.raises(Refusal, match="belongs to c2/server-b, not to c1/server-a"):
        await claimed.start()
    await other.remove()


async def test_attaching_again_changes_nothing(claimed: InstanceDisk, here: Node) -> None:
    await claimed.add()
    device, processes = await claimed.start(), here.processes()
    for _ in range(3):
        assert await claimed.attach() == device
    assert here.processes() == processes
    await claimed.remove()


async def test_calls_at_once(claimed: InstanceDisk, here: Node) -> None:
    await claimed.call("create", VOL_SIZE=8)
    devices = await asyncio.gather(*(claimed.attach() for _ in range(4)))
    assert len(set(devices)) == 1
    assert len(here.processes()) == 1
    await asyncio.gather(*(claimed.call("detach") for _ in range(4)))
    assert await here.leftovers() == []


async def test_detach_and_remove_of_what_is_not_here(claimed: InstanceDisk, here: Node) -> None:
    for action in ("detach", "close", "remove", "open", "setinfo"):
        await claimed.call(action)
    assert await here.leftovers() == []


async def test_nothing_is_written_before_a_guest_starts(claimed: InstanceDisk, pool: Qcow2Pool) -> None:
    """As a cluster with `prealloc_wipe_disks` tries to."""
    await write_at_rest(pool, claimed.disk, 0, KIB, 7)
    device = await claimed.add()
    with pytest.raises(PermissionError):
        write(device, 0, bytes(KIB))
    write(await claimed.start(), KIB, b"\1")
    await claimed.stop()
    await claimed.add()  # as `gnt-instance recreate-disks`
    device = await claimed.attach()
    with pytest.raises(PermissionError):
        write(device, 0, bytes(KIB))
    assert read(device, 0, KIB + 1) == b"\7" * KIB + b"\1"
    await claimed.remove()


async def test_who_gets_the_loop_device_next_can_write(claimed: InstanceDisk, here: Node, tmp_path: Path) -> None:
    """What is set read-only stays so, whatever is on it then. Another test may be the next."""
    device = await claimed.add()
    await claimed.remove()
    (tmp_path / "another").write_bytes(bytes(MIB))
    loop = (await here.run("losetup", "--find", "--show", tmp_path / "another")).strip()
    try:
        assert loop != device or Path(f"/sys/block/{Path(loop).name}/ro").read_text() == "0\n"
    finally:
        await here.run("losetup", "--detach", loop)


async def test_grow_while_a_guest_has_it(pool: Qcow2Pool, claimed: InstanceDisk, tmp_path: Path) -> None:
    await claimed.add()
    device = await claimed.start()
    write(device, 0, b"\1" * KIB)
    await pool.extend(claimed.disk, 16 * MIB, Running(claimed.grow).find)
    assert size(device) == 16 * MIB
    write(device, 15 * MIB, b"\2" * KIB)
    assert read(device, 0, KIB) == b"\1" * KIB
    await claimed.remove()
    await pool.release(claimed.disk, OWNER, 1)
    expected = (b"\1" * KIB).ljust(15 * MIB, b"\0") + (b"\2" * KIB).ljust(MIB, b"\0")
    assert await content(pool, claimed.disk, tmp_path) == expected


async def test_grow_of_what_the_pool_has_grown_before(pool: Qcow2Pool, claimed: InstanceDisk, here: Node) -> None:
    await claimed.add()
    await claimed.stop()
    await pool.extend(claimed.disk, 16 * MIB)
    await claimed.grow(16)
    assert size(await claimed.attach()) == 16 * MIB
    await claimed.remove()
    assert await here.leftovers() == []


async def test_grow_by_hand_is_refused(claimed: InstanceDisk) -> None:
    await claimed.add()
    with pytest.raises(Refusal, match="has 8 MiB in Cyclades"):
        await claimed.grow(9)
    assert size(await claimed.attach()) == 8 * MIB
    await claimed.remove()


async def test_a_snapshot_of_a_server_that_is_off(pool: Qcow2Pool, claimed: InstanceDisk, tmp_path: Path) -> None:
    """The next start opens the new top layer."""
    await claimed.add()
    write(await claimed.start(), 0, b"\1" * KIB)
    with pytest.raises(Passing):
        await pool.snapshot(claimed.disk, snapshot_disk("s"), at_rest)
    await claimed.stop()
    await pool.snapshot(claimed.disk, snapshot_disk("s"), at_rest)
    write(await claimed.start(), 0, b"\2" * KIB)
    await claimed.stop()
    assert await content(pool, snapshot_disk("s"), tmp_path) == (b"\1" * KIB).ljust(8 * MIB, b"\0")
    await pool.delete(snapshot_disk("s"))
    write(await claimed.start(), KIB, b"\3" * KIB)
    await claimed.remove()
    assert await content(pool, claimed.disk, tmp_path) == (b"\2" * KIB + b"\3" * KIB).ljust(8 * MIB, b"\0")


async def test_what_a_guest_discards_is_the_pools_again(pool: Qcow2Pool, claimed: InstanceDisk, here: Node) -> None:
    async def used() -> int:
        found = await pool.find(claimed.disk)
        assert found is not None
        return found.used

    await claimed.add()
    device = await claimed.start()
    write(device, 0, os.urandom(4 * MIB))
    assert await used() >= 4 * MIB
    await here.run("blkdiscard", device)
    assert await used() < MIB
    assert read(device, 0, KIB) == bytes(KIB)
    await claimed.remove()


async def test_a_clone_of_an_image(pool: Qcow2Pool, volume: str, here: Node, tmp_path: Path) -> None:
    """As the root volume of a server: layers below it, one of them raw."""
    raw = tmp_path / "raw"
    raw.write_bytes(b"\1" * MIB + bytes(7 * MIB))
    await pool.import_image(image_disk("i"), raw, "raw")
    disk = InstanceDisk(here, volume)
    await pool.clone(disk.disk, image_disk("i"), 8 * MIB)
    await pool.snapshot(disk.disk, snapshot_disk("s"), at_rest)
    await pool.claim(disk.disk, OWNER, 1, card=True)
    await disk.add()
    device = await disk.start()
    assert read(device, MIB - 1, 2) == b"\1\0"
    write(device, 0, b"\2" * KIB)
    await disk.remove()
    expected = b"\2" * KIB + raw.read_bytes()[KIB:]
    assert await content(pool, disk.disk, tmp_path) == expected
    assert await content(pool, image_disk("i"), tmp_path) == raw.read_bytes()


async def test_a_daemon_that_was_killed(pool: Qcow2Pool, claimed: InstanceDisk, here: Node, tmp_path: Path) -> None:
    """The next attach starts another; what was flushed is there."""
    await claimed.add()
    write(await claimed.start(), 0, b"\1" * KIB)
    (pid,) = here.processes()
    os.kill(pid, 9)
    assert read(await claimed.start(), 0, KIB) == b"\1" * KIB
    (pid,) = here.processes()
    os.kill(pid, 9)
    await claimed.call("detach")
    assert await here.leftovers() == []
    assert await content(pool, claimed.disk, tmp_path) == (b"\1" * KIB).ljust(8 * MIB, b"\0")


@pytest.mark.usefixtures("small")
async def test_a_full_pool_tells_the_guest_and_loses_nothing(
    pool: Qcow2Pool, claimed: InstanceDisk, directory: Path
) -> None:
    await claimed.add()
    device = await claimed.start()
    write(device, 0, b"\1" * KIB)
    filler = fill(directory)
    with pytest.raises(OSError, match=r"Input/output error|No space left"):
        write(device, MIB, os.urandom(4 * MIB))
    assert read(device, 0, KIB) == b"\1" * KIB
    await claimed.stop()
    with pytest.raises(Full):
        await pool.extend(claimed.disk, 16 * MIB)
    assert read(await claimed.start(), 0, KIB) == b"\1" * KIB
    filler.unlink()
    write(await claimed.start(), MIB, b"\2" * KIB)
    await claimed.remove()
    await pool.release(claimed.disk, OWNER, 1)


@pytest.mark.usefixtures("small")
async def test_a_full_pool_cannot_bind(claimed: InstanceDisk, directory: Path, here: Node) -> None:
    filler = fill(directory)
    with pytest.raises(Refusal, match="create: No space left on device"):
        await claimed.add()
    assert await here.leftovers() == []
    filler.unlink()
    await claimed.add()
    await claimed.remove()


@pytest.mark.parametrize(
    ("program", "instead", "why"),
    [
        ("losetup", "/bin/false", "losetup failed"),
        ("qemu-storage-daemon", "/bin/false", "qemu-storage-daemon failed"),
        ("qemu-storage-daemon", "/etc/hostname", "cannot be started"),
    ],
)
async def test_a_program_that_does_not_work(
    claimed: InstanceDisk, here: Node, pool: Qcow2Pool, program: str, instead: str, why: str
) -> None:
    path = shutil.which(program)
    assert path is not None
    await claimed.call("create", VOL_SIZE=8)
    await here.run("mount", "--bind", instead, path)
    with pytest.raises(Refusal, match=why):
        await claimed.attach()
    assert await here.leftovers() == []
    await here.run("umount", path)
    await claimed.start()
    await claimed.remove()


async def test_open_elsewhere(pool: Qcow2Pool, claimed: InstanceDisk, nodes: Callable[[str], Node]) -> None:
    """As on a node that did not let go: the second one gets nothing."""
    await claimed.add()
    await claimed.start()
    second = InstanceDisk(nodes("c1"), claimed.volume, uuid=claimed.uuid)
    with pytest.raises(Refusal, match="still open on another node"):
        await second.attach()
    assert await second.node.leftovers() == []
    await claimed.stop()
    await second.start()
    await second.remove()
    async with pool.opening(claimed.disk) as blockdev:
        pass
    async with open_elsewhere(blockdev):
        with pytest.raises(Refusal, match="still open on another node"):
            await claimed.start()
    assert await claimed.node.leftovers() == []
