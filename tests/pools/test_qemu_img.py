from __future__ import annotations

import asyncio
import fcntl
import subprocess
from pathlib import Path

import pytest

from cyclades.model.errors import Full, Invalid, Passing
from cyclades.model.units import MIB
from cyclades.pools import qemu_img
from cyclades.pools.qemu_img import Limits, QemuImgError


def filled(path: Path, size: int = 8 * MIB) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(size)], check=True)
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", f"write -P 7 0 {size}", path], check=True, stdout=subprocess.DEVNULL
    )
    return path


async def test_info_and_resize(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.qcow2", MIB)
    await qemu_img.resize(path, 2 * MIB)
    assert (await qemu_img.info(path, "qcow2"))["virtual-size"] == 2 * MIB


async def test_an_error_has_no_path_in_it(tmp_path: Path) -> None:
    with pytest.raises(QemuImgError) as failed:
        await qemu_img.resize(tmp_path / "missing.qcow2", MIB)
    assert "missing.qcow2" in str(failed.value)
    assert str(tmp_path) not in str(failed.value)


async def test_a_relative_name_is_refused() -> None:
    with pytest.raises(ValueError, match="protocol"):
        await qemu_img.resize(Path("nbd:localhost"), MIB)


async def test_a_file_that_is_open_elsewhere_passes(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.qcow2")
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec("qemu-io", "-f", "qcow2", path, stdin=pipe, stdout=pipe)
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.write(b"length\n")
    await other.stdout.read(1)  # now it has it open
    with pytest.raises(Passing):
        await qemu_img.resize(path, 16 * MIB)
    other.stdin.close()
    await other.wait()


async def test_no_space_is_full(tmp_path: Path) -> None:
    source = filled(tmp_path / "a.qcow2")
    with pytest.raises(Full):
        await qemu_img.convert(source, "qcow2", tmp_path / "b", "qcow2", limits=Limits(file_size=MIB))


async def test_convert_tells_its_progress(tmp_path: Path) -> None:
    source, told = filled(tmp_path / "a.qcow2"), list[float]()

    async def tell(fraction: float) -> None:
        told.append(fraction)

    await qemu_img.convert(source, "qcow2", tmp_path / "b.raw", "raw", progress=tell)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert (tmp_path / "b.raw").read_bytes() == b"\x07" * 8 * MIB


async def test_check_finds_what_is_cut_off(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.qcow2")
    await qemu_img.check(path, "qcow2")
    with path.open("r+b") as file:
        file.truncate(4 * MIB)
    with pytest.raises(Invalid) as refused:
        await qemu_img.check(path, "qcow2")
    assert refused.value.rule == "image-broken"
    assert str(tmp_path) not in refused.value.message


async def test_limits_hold(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.qcow2")
    with pytest.raises(QemuImgError):
        await qemu_img.run("check", path, limits=Limits(address_space=16 * MIB))


async def test_cancelled_it_is_gone_and_its_lock_with_it(tmp_path: Path) -> None:
    source, begun = filled(tmp_path / "a.qcow2", 64 * MIB), asyncio.Event()

    async def tell(_fraction: float) -> None:
        begun.set()

    with (tmp_path / "lock").open("w") as lock, (tmp_path / "lock").open() as other:
        fcntl.flock(lock, fcntl.LOCK_EX)
        slow: list[str | Path] = ["convert", "-p", "-r", "4M", "-f", "qcow2", "-O", "raw", source, tmp_path / "b"]
        task = asyncio.create_task(qemu_img.run(*slow, fds=[lock.fileno()], progress=tell))
        await asyncio.wait_for(begun.wait(), 60)
        lock.close()
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the child holds it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
