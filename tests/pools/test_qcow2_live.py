"""Disks that a real QEMU has open."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.pools.contract import A, B, C, S, T
from tests.pools.disk_io import content
from tests.pools.live_qemu import LiveQemu, live_qemu

from cyclades.model.errors import Failed, Passing
from cyclades.model.units import KIB, MIB
from cyclades.pools.base import Blockdev, at_rest
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store.database import Database


@pytest.fixture
def pool(tmp_path: Path, database: Database) -> Qcow2Pool:
    return Qcow2Pool("local", tmp_path / "pool", database, deepest=4)


def layer_files(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "pool" / "layers").iterdir()}


async def test_snapshots_of_a_disk_in_use(pool: Qcow2Pool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    async with live_qemu(pool, A, tmp_path) as qemu:
        await qemu.write(0, KIB, 1)
        await pool.snapshot(A, S, qemu.find)
        await qemu.write(KIB, KIB, 2)
        await pool.snapshot(A, T, qemu.find)
        await qemu.write(2 * KIB, KIB, 3)
        assert await content(pool, S, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")
        assert await content(pool, T, tmp_path) == (b"\1" * KIB + b"\2" * KIB).ljust(MIB, b"\0")
        await pool.clone(B, T, MIB)
        assert await content(pool, B, tmp_path) == await content(pool, T, tmp_path)
        with pytest.raises(Passing):
            await content(pool, A, tmp_path)
    assert await content(pool, A, tmp_path) == (b"\1" * KIB + b"\2" * KIB + b"\3" * KIB).ljust(MIB, b"\0")


async def test_a_snapshot_is_merged_into_the_open_top(pool: Qcow2Pool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    async with live_qemu(pool, A, tmp_path) as qemu:
        for byte, snapshot in ((1, S), (2, T)):
            await qemu.write(byte * KIB, KIB, byte)
            await pool.snapshot(A, snapshot, qemu.find)
        await qemu.write(3 * KIB, KIB, 3)
        await pool.delete(T, qemu.find)
        assert len(layer_files(tmp_path)) == 2
        await pool.delete(S, qemu.find)
        assert len(layer_files(tmp_path)) == 1
        for byte in range(4):
            await qemu.read(byte * KIB, KIB, byte)
        await pool.snapshot(A, S, qemu.find)  # and it goes on
    assert await content(pool, A, tmp_path) == (b"".join(bytes([byte]) * KIB for byte in range(4)).ljust(MIB, b"\0"))
    (head, below) = await pool.files(A)
    for path in (head, below):
        subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", path], check=True)  # noqa: ASYNC221


async def test_depth_is_bounded_in_use(pool: Qcow2Pool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    snapshots = [f"snf-snap-{number}" for number in range(10)]
    async with live_qemu(pool, A, tmp_path) as qemu:
        for number, snapshot in enumerate(snapshots):
            await qemu.write(number * KIB, KIB, number + 1)
            await pool.snapshot(A, snapshot, qemu.find)
            assert len(await pool.files(A)) <= 5
        for number in range(10):
            await qemu.read(number * KIB, KIB, number + 1)
        for snapshot in snapshots:
            await pool.delete(snapshot, qemu.find)
    await pool.tidy()
    assert len(layer_files(tmp_path)) == 1
    expected = b"".join(bytes([number + 1]) * KIB for number in range(10))
    assert await content(pool, A, tmp_path) == expected.ljust(MIB, b"\0")


async def test_extend_in_use(pool: Qcow2Pool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    async with live_qemu(pool, A, tmp_path) as qemu:
        await pool.snapshot(A, S, qemu.find)
        await pool.extend(A, 2 * MIB, qemu.find)
        await pool.extend(A, 2 * MIB, qemu.find)
        with pytest.raises(Failed):
            await pool.extend(A, MIB, qemu.find)
        await qemu.write(MIB, KIB, 1)
        await pool.snapshot(A, T, qemu.find)
    assert await content(pool, A, tmp_path) == bytes(MIB) + (b"\1" * KIB).ljust(MIB, b"\0")
    assert len(await content(pool, S, tmp_path)) == MIB
    assert len(await content(pool, T, tmp_path)) == 2 * MIB


class Interrupted(Exception):
    pass


class DiesAfterSwitch(LiveQemu):
    """The engine that asked for the switch does not live to hear of it."""

    async def switch(self, overlay: Blockdev) -> None:
        await super().switch(overlay)
        raise Interrupted


class DiesBeforeSwitch(LiveQemu):
    async def switch(self, overlay: Blockdev) -> None:
        raise Interrupted


@pytest.mark.parametrize("dies", [DiesAfterSwitch, DiesBeforeSwitch])
@pytest.mark.parametrize("qemu_dies", [False, True])
@pytest.mark.parametrize("then", ["repeat", "undo", "open", "delete"])
async def test_a_snapshot_interrupted_at_the_switch(
    pool: Qcow2Pool, tmp_path: Path, dies: type[LiveQemu], qemu_dies: bool, then: str
) -> None:
    """Whatever comes next, the volume keeps all that its guest wrote, and nothing is left of the rest."""
    await pool.create(A, MIB)
    expected = (b"\1" * KIB + b"\2" * KIB).ljust(MIB, b"\0")
    async with live_qemu(pool, A, tmp_path) as qemu:
        await qemu.write(0, KIB, 1)
        broken = dies(qemu._qmp, qemu._process)
        with pytest.raises(Interrupted):
            await pool.snapshot(A, S, broken.find)
        assert await pool.find(S) is None
        with pytest.raises(Failed):
            await pool.clone(C, S, MIB)
        await qemu.write(KIB, KIB, 2)
        if qemu_dies:
            await qemu.kill()
        if then == "repeat":
            await pool.snapshot(A, S, qemu.find)
            await pool.clone(B, S, MIB)
            kept = await content(pool, B, tmp_path)
            assert kept[:KIB] == b"\1" * KIB
        elif then == "undo":
            await pool.delete(S, qemu.find)
            assert len(layer_files(tmp_path)) == 1
        elif not qemu_dies:
            with pytest.raises(Passing):  # it cannot be asked through `at_rest`
                await pool.delete(A)
    if then == "open":
        async with pool.opening(A):
            pass
    elif then == "delete":
        await pool.delete(A)
        await pool.delete(S)
        assert layer_files(tmp_path) == set()
        return
    assert await content(pool, A, tmp_path) == expected
    for disk in (S, A, B):
        await pool.delete(disk)
    assert layer_files(tmp_path) == set()
    assert await pool.tidy() == []


async def test_a_disk_in_use_is_not_taken_for_one_at_rest(pool: Qcow2Pool, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    async with live_qemu(pool, A, tmp_path) as qemu:
        with pytest.raises(Passing):
            await pool.snapshot(A, S, at_rest)
        with pytest.raises(Passing):
            await pool.delete(A)
        with pytest.raises(Passing):
            await pool.extend(A, 2 * MIB)
        await qemu.write(0, KIB, 1)
        await pool.snapshot(A, S, qemu.find)
        with pytest.raises(Passing):
            await pool.revert(A, S)
    assert await content(pool, S, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")
