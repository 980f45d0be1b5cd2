"""Writing and reading the disks of any pool, through the description that a QEMU would open."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cyclades.pools import qemu_img
from cyclades.pools.base import Blockdev, Pool


async def qemu_io(blockdev: Blockdev, *commands: str) -> None:
    arguments = [part for command in commands for part in ("-c", command)]
    command = ["qemu-io", *arguments, "json:" + json.dumps(blockdev)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    output, _ = await process.communicate()
    assert process.returncode == 0, output


@asynccontextmanager
async def open_elsewhere(blockdev: Blockdev) -> AsyncIterator[None]:
    """A program has the disk open, as a QEMU that we cannot ask."""
    process = await asyncio.create_subprocess_exec("qemu-io", "json:" + json.dumps(blockdev), stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"length\n")
    await process.stdout.read(1)
    yield
    process.stdin.close()
    await process.wait()


async def write(pool: Pool, disk: str, offset: int, length: int, byte: int) -> None:
    """Open the volume as a QEMU would and fill a part of it."""
    async with pool.opening(disk) as blockdev:
        await qemu_io(blockdev, f"write -P {byte} {offset} {length}", "flush")


async def content(pool: Pool, disk: str, directory: Path) -> bytes:
    """All of a disk that nobody has open."""
    target = directory / "content.raw"
    await pool.export(disk, target, "raw")
    body = target.read_bytes()
    target.unlink()
    return body


async def parts(pool: Pool, disk: str, directory: Path, *places: tuple[int, int]) -> list[bytes]:
    """Offset and length each of a disk that nobody has open and that is too large to read whole."""
    target = directory / "parts.raw"
    await pool.export(disk, target, "raw")
    with target.open("rb") as file:
        found = [os.pread(file.fileno(), length, offset) for offset, length in places]
    target.unlink()
    return found


async def same(directory: Path, *disks: tuple[Pool, str]) -> bool:
    """Whether two disks that nobody has open hold the same, in the same size."""
    files = [directory / "one.raw", directory / "other.raw"]
    for (pool, disk), file in zip(disks, files, strict=True):
        await pool.export(disk, file, "raw")
    try:
        await qemu_img.run("compare", "-q", "-s", "-f", "raw", "-F", "raw", *files)
    except qemu_img.QemuImgError as error:
        if error.code != 1:
            raise
        return False
    finally:
        for file in files:
            file.unlink()
    return True
