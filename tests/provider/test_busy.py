"""A disk that a program keeps open: it is not taken from it, and goes away once it is closed."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.provider.conftest import OWNER
from tests.provider.node import InstanceDisk, Node, Refusal, read, write

from cyclades.model.errors import Passing
from cyclades.pools.qcow2 import Qcow2Pool

PATIENCE = 60.0


@asynccontextmanager
async def opened(node: Node, path: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of the node has the file open, as a guest's QEMU."""
    command = node.command("/bin/sh", "-c", 'exec 3<"$1"; echo open; cat', "sh", path)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    yield process
    process.stdin.close()
    await process.wait()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def gone(node: Node) -> None:
    await until(lambda: not node.processes())
    assert await node.leftovers() == []


@pytest.mark.parametrize("as_file", [False, True], ids=["block device", "raw file"])
async def test_let_go_of_late(pool: Qcow2Pool, claimed: InstanceDisk, here: Node, as_file: bool) -> None:
    """The guest goes on, the disk counts as in use, and what waits for it lets go."""
    await claimed.add()
    device = await claimed.start()
    async with opened(here, f"/run/cyclades/{claimed.disk}/raw" if as_file else device):
        for action in ("detach", "remove"):
            with pytest.raises(Refusal, match=r"is still open in sh \(\d+\)|is still open in cat \(\d+\)"):
                await claimed.call(action)
        write(device, 0, b"\1")
        with pytest.raises(Passing):
            await pool.release(claimed.disk, OWNER, 1)
        with pytest.raises(Passing):
            await pool.unbind(claimed.disk, OWNER, 1)
    await gone(here)
    await pool.release(claimed.disk, OWNER, 1)


async def test_wanted_again_before_it_was_let_go_of(claimed: InstanceDisk, here: Node) -> None:
    await claimed.add()
    device = await claimed.start()
    async with opened(here, device):
        for _ in range(2):
            with pytest.raises(Refusal, match="still open"):
                await claimed.call("detach")
        assert await claimed.start() == device
    await until(lambda: len(here.processes()) == 1)
    assert read(device, 0, 1) == b"\0"
    await claimed.remove()
    assert await here.leftovers() == []


async def test_an_owner_who_lost_it(claimed: InstanceDisk, here: Node, directory: Path) -> None:
    """By force, past the pool. The guest that has it keeps it, but gets it no more, and it goes away with the guest."""
    card = directory / "cards" / f"{claimed.disk}.json"
    await claimed.add()
    device, mine = await claimed.start(), card.read_text()
    others = json.dumps(json.loads(mine) | {"owner": "c1/server-b"})
    async with opened(here, device):
        card.write_text(others)
        with pytest.raises(Refusal, match="belongs to c1/server-b"):
            await claimed.attach()
        write(device, 0, b"\1")
    await gone(here)
    card.write_text(mine)
    await claimed.start()
    card.write_text(others)
    with pytest.raises(Refusal, match="belongs to c1/server-b"):
        await claimed.attach()
    assert await here.leftovers() == []


async def test_another_instance_waits_until_the_first_has_let_go(
    pool: Qcow2Pool, claimed: InstanceDisk, here: Node
) -> None:
    """The books were changed by force, while the first still has it."""
    await claimed.add()
    device = await claimed.start()
    async with opened(here, device):
        with pytest.raises(Refusal):
            await claimed.call("detach")
        with pytest.raises(Passing):
            await pool.release(claimed.disk, OWNER, 1)
        await pool.unbind(claimed.disk, "c1/another", 1)  # nothing happens
        other = InstanceDisk(here, claimed.volume)
        with pytest.raises(Refusal, match="is bound to"):
            await other.call("attach")
    await gone(here)
