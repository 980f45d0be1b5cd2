"""Disks that a real QEMU has open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.pools.contract import A, B, S, T
from tests.pools.disk_io import content, open_elsewhere, write
from tests.pools.live_qemu import LiveQemu, live_qemu

from cyclades.model.errors import Failed, Passing
from cyclades.model.units import KIB, MIB
from cyclades.pools.base import at_rest
from cyclades.pools.rbd import RbdPool


@asynccontextmanager
async def in_use(pool: RbdPool, disk: str, directory: Path) -> AsyncIterator[LiveQemu]:
    """As a server has a volume: what its QEMU leaves behind when it is killed is nobody's then."""
    await pool.claim(disk, "local/x", 1)
    async with live_qemu(pool, disk, directory) as qemu:
        yield qemu
    await pool.release(disk, "local/x", 1)


async def test_snapshots_of_a_disk_in_use(pool: RbdPool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    async with in_use(pool, A, tmp_path) as qemu:
        await qemu.write(0, KIB, 1)
        await pool.snapshot(A, S, qemu.find)
        await qemu.write(KIB, KIB, 2)
        await pool.snapshot(A, T, at_rest)  # nobody needs to reach its QEMU: it may run anywhere
        await qemu.write(2 * KIB, KIB, 3)
        assert await content(pool, S, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")
        assert await content(pool, T, tmp_path) == (b"\1" * KIB + b"\2" * KIB).ljust(MIB, b"\0")
        await pool.clone(B, T, MIB)
        await pool.delete(S)
        with pytest.raises(Passing):
            await content(pool, A, tmp_path)
        with pytest.raises(Failed):
            await pool.delete(A)
        with pytest.raises(Failed):
            await pool.revert(A, T)
    assert await content(pool, A, tmp_path) == (b"\1" * KIB + b"\2" * KIB + b"\3" * KIB).ljust(MIB, b"\0")
    assert await content(pool, B, tmp_path) == (b"\1" * KIB + b"\2" * KIB).ljust(MIB, b"\0")


async def test_a_disk_in_use_grows(pool: RbdPool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    async with in_use(pool, A, tmp_path) as qemu:
        await pool.extend(A, 2 * MIB, qemu.find)
        await pool.extend(A, 2 * MIB, qemu.find)
        await qemu.write(2 * MIB - KIB, KIB, 1)
        with pytest.raises(Failed):
            await pool.extend(A, MIB, qemu.find)
    assert await content(pool, A, tmp_path) == bytes(2 * MIB - KIB) + b"\1" * KIB


async def test_a_clone_in_use_is_made_to_stand_alone(pool: RbdPool, tmp_path: Path) -> None:
    await pool.create(A, 16 * MIB)
    await write(pool, A, 0, 16 * MIB, 1)
    await pool.snapshot(A, S, at_rest)
    await pool.clone(B, S, 16 * MIB)
    async with in_use(pool, B, tmp_path) as qemu:
        await qemu.write(0, KIB, 2)
        await pool._flatten(B)
        await qemu.write(KIB, KIB, 3)
        await qemu.read(2 * KIB, KIB, 1)
        found = await pool.find(B)
        assert found is not None
        assert found.used == 16 * MIB
        await pool.delete(S)
        await pool.delete(A)
    expected = (b"\2" * KIB + b"\3" * KIB).ljust(16 * MIB, b"\1")
    assert await content(pool, B, tmp_path) == expected


async def test_an_old_qemu_writes_nothing_more_once_another_has_the_disk(pool: RbdPool, tmp_path: Path) -> None:
    """RBD itself would let both write."""
    await pool.create(A, MIB)
    await pool.claim(A, "local/old", 1)
    async with live_qemu(pool, A, tmp_path) as old:
        await old.write(0, KIB, 1)
        await pool.release(A, "local/old", 1)  # wrongly: somebody said that it is gone
        await pool.claim(A, "local/new", 2)
        new = tmp_path / "new"
        new.mkdir()
        async with live_qemu(pool, A, new) as qemu:
            await qemu.write(0, KIB, 2)
            await old.write(KIB, KIB, 3)  # QEMU tells its standard error that it failed
            await qemu.write(2 * KIB, KIB, 4)
            await qemu.read(KIB, KIB, 0)
    await pool.release(A, "local/new", 2)
    assert await content(pool, A, tmp_path) == (b"\2" * KIB + bytes(KIB) + b"\4" * KIB).ljust(MIB, b"\0")


async def test_the_disk_of_a_killed_qemu_can_be_used_at_once(pool: RbdPool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    await pool.claim(A, "local/x", 1)
    async with live_qemu(pool, A, tmp_path) as qemu:
        await qemu.write(0, KIB, 1)
        await qemu.kill()
    await pool.release(A, "local/x", 1)
    assert await content(pool, A, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")
    await pool.claim(A, "local/y", 2)
    await write(pool, A, KIB, KIB, 2)
    await pool.release(A, "local/y", 2)
    assert await content(pool, A, tmp_path) == (b"\1" * KIB + b"\2" * KIB).ljust(MIB, b"\0")


async def test_a_disk_that_a_stranger_has_open_is_left_to_it(pool: RbdPool, tmp_path: Path) -> None:
    """Nobody of ours ever had it: it may be the operator."""
    await pool.create(A, MIB)
    async with pool.opening(A) as blockdev:
        pass
    async with open_elsewhere(blockdev):
        for doing in (pool.delete(A), pool.claim(A, "local/x", 1), pool.rename(A, "free"), pool.delete(A)):
            with pytest.raises(Passing):
                await doing
    await pool.claim(A, "local/x", 1)


async def test_two_qemus_have_one_disk(pool: RbdPool, twin: RbdPool, tmp_path: Path) -> None:
    """Each reads at once what the other wrote; a third who does not share gets nothing; then it is one's again."""
    await pool.create(A, MIB)
    await pool.claim(A, "local/x", 2, shared=True)
    for again in (pool, twin):
        await again.claim(A, "local/y", 1, shared=True)
    with pytest.raises(Failed):
        await pool.claim(A, "local/z", 3)
    other = tmp_path / "other"
    other.mkdir()
    async with live_qemu(pool, A, tmp_path) as first, live_qemu(pool, A, other) as second:
        await first.write(0, KIB, 1)
        await second.read(0, KIB, 1)
        await second.write(0, KIB, 2)
        await first.read(0, KIB, 2)
        await second.write(KIB, KIB, 3)
        await first.read(KIB, KIB, 3)
        await pool.snapshot(A, S, at_rest)
        await pool.release(A, "local/y", 1)
        with pytest.raises(Failed):
            await pool.claim(A, "local/y", 1, shared=True)  # late news
        with pytest.raises(Failed):
            await pool.delete(A)
    await pool.release(A, "local/x", 2)
    await pool.claim(A, "local/z", 3)
    async with live_qemu(pool, A, tmp_path) as alone:
        await alone.read(KIB, KIB, 3)
    await pool.release(A, "local/z", 3)
    with pytest.raises(Failed):
        await pool.claim(A, "local/x", 2, shared=True)  # late news
    assert await content(pool, A, tmp_path) == (b"\2" * KIB + b"\3" * KIB).ljust(MIB, b"\0")
    assert await content(pool, S, tmp_path) == await content(pool, A, tmp_path)
