"""Each action, killed before each of its lines; then called again as Ganeti would, or undone as Ganeti would.

A killed action is never waited for by what comes after it: it may have left a daemon that is only starting."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import crash_cases
from tests.pools.disk_io import content
from tests.provider.conftest import OWNER
from tests.provider.node import InstanceDisk, Node, Refusal, Running, read, write

from cyclades.model.units import KIB, MIB
from cyclades.pools.qcow2 import Qcow2Pool

_SAMPLE = 5  # of the lines of an action, in a usual run
_NEVER = 1_000_000
_ONE = (b"\1" * KIB).ljust(8 * MIB, b"\0")


async def killed(disk: InstanceDisk, action: str, line: int, **sizes: int) -> None:
    """It may end before its last lines: only who has to wait for something comes to those."""
    try:
        await disk.call(action, killed_at=line, **sizes)
    except Refusal as end:
        if str(end) != "ended with -9":
            raise


async def sample(disk: InstanceDisk, action: str, case: str, **sizes: int) -> list[int]:
    """Lines of the action, which is done then."""
    said = await disk.call(action, killed_at=_NEVER, **sizes)
    count = int(said.split()[-1])
    assert count > 20
    return crash_cases.some(count, _SAMPLE, case)


@pytest.mark.parametrize(
    ("action", "then"), [("create", "again"), ("create", "undone"), ("attach", "again"), ("attach", "undone"),
                         ("open", "again"), ("setinfo", "again")]
)  # fmt: skip
async def test_while_it_is_added(
    pool: Qcow2Pool, claimed: InstanceDisk, here: Node, action: str, then: str, tmp_path: Path
) -> None:
    order = ["create", "attach", "open", "setinfo"]

    async def prepare() -> None:
        await claimed.remove()
        await pool.unbind(claimed.disk, OWNER, 1)
        for each in order[: order.index(action)]:
            await claimed.call(each, VOL_SIZE=8)

    await claimed.add()
    write(await claimed.start(), 0, b"\1" * KIB)
    await prepare()
    for line in await sample(claimed, action, f"{action} {then}", VOL_SIZE=8):
        await claimed.add()
        await prepare()
        await killed(claimed, action, line, VOL_SIZE=8)
        if then == "again":
            await claimed.call(action, VOL_SIZE=8)
        elif action != "create":  # then Ganeti knows of nothing to take away
            await claimed.remove()
            assert await here.leftovers() == []
    await claimed.add()
    assert read(await claimed.start(), 0, KIB) == b"\1" * KIB
    await claimed.remove()
    assert await here.leftovers() == []
    await pool.release(claimed.disk, OWNER, 1)
    assert await content(pool, claimed.disk, tmp_path) == _ONE


@pytest.mark.parametrize("action", ["detach", "remove"])
async def test_while_it_is_taken_away(
    pool: Qcow2Pool, claimed: InstanceDisk, here: Node, action: str, tmp_path: Path
) -> None:
    await claimed.add()
    write(await claimed.start(), 0, b"\1" * KIB)
    for line in await sample(claimed, action, action):
        await claimed.start()
        await killed(claimed, action, line)
        await claimed.call(action)
        assert await here.leftovers() == []
        assert await content(pool, claimed.disk, tmp_path) == _ONE


async def test_while_it_grows(pool: Qcow2Pool, claimed: InstanceDisk, here: Node, tmp_path: Path) -> None:
    await claimed.add()
    device = await claimed.start()
    write(device, 0, b"\1" * KIB)
    chosen: list[int] = []
    size_now = 16

    async def first(size: int) -> None:
        chosen.extend(await sample(claimed, "grow", "grow", VOL_SIZE=claimed.size, VOL_NEW_SIZE=size))
        claimed.size = size

    async def then(size: int) -> None:
        await killed(claimed, "grow", chosen.pop(), VOL_SIZE=claimed.size, VOL_NEW_SIZE=size)
        await claimed.grow(size)
        write(device, (size - 1) * MIB, b"\2" * KIB)

    await pool.extend(claimed.disk, size_now * MIB, Running(first).find)
    while chosen:
        size_now += 8
        await pool.extend(claimed.disk, size_now * MIB, Running(then).find)
    await claimed.remove()
    assert await here.leftovers() == []
    expected = bytearray(_ONE.ljust(size_now * MIB, b"\0"))
    for mib in range(24, size_now + 1, 8):
        expected[(mib - 1) * MIB : (mib - 1) * MIB + KIB] = b"\2" * KIB
    assert await content(pool, claimed.disk, tmp_path) == expected
