from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.pools.disk_io import open_elsewhere, qemu_io

from cyclades import flocks
from cyclades.model.errors import Passing
from cyclades.model.units import KIB, MIB
from cyclades.pools import qemu_img
from cyclades.pools.qcow2 import header, stream
from cyclades.pools.qcow2.layers import blockdev

_ENGINE = """
import asyncio, os, sys
from cyclades import flocks
from cyclades.pools.qcow2 import stream
from pathlib import Path

async def engine():
    async with flocks.hold(Path(sys.argv[1])) as lock:
        process = await stream.start([lock])
        process.stdin.write(b'{"execute": "qmp_capabilities"}')
        await process.stdout.readline()
        await process.stdout.readline()  # it runs
        os._exit(0)

asyncio.run(engine())
"""


async def stack(directory: Path, size: int) -> list[Path]:
    """Three layers, the top first, each with a KiB of its own."""
    paths: list[Path] = []
    for byte in (1, 2, 3):
        path = directory / f"{byte}.qcow2"
        header.write_empty(path, size, (paths[0].name, "qcow2") if paths else None)
        await qemu_io(blockdev(path), f"write -P {byte} {byte * KIB} {KIB}")
        paths.insert(0, path)
    return paths


@pytest.mark.parametrize("whole", [False, True])
async def test_pull(tmp_path: Path, whole: bool) -> None:
    chain = await stack(tmp_path, MIB)
    pulled, base = (chain, None) if whole else (chain[:2], chain[2])
    for _ in range(2):
        await stream.pull(pulled, base)
    for path in pulled[1:]:
        path.unlink()
    described = await qemu_img.info(chain[0], "qcow2")
    assert described.get("backing-filename") == (None if base is None else base.name)
    assert described.get("backing-filename-format") == (None if base is None else "qcow2")
    await qemu_img.convert(chain[0], "qcow2", tmp_path / "raw", "raw")
    expected = b"".join(bytes([byte]) * KIB for byte in range(4))
    assert (tmp_path / "raw").read_bytes() == expected.ljust(MIB, b"\0")


async def test_an_open_layer_passes(tmp_path: Path) -> None:
    chain = await stack(tmp_path, MIB)
    async with open_elsewhere(blockdev(chain[0])):
        with pytest.raises(Passing):
            await stream.pull(chain[:2], chain[2])


async def test_it_dies_with_its_engine(tmp_path: Path) -> None:
    engine = await asyncio.create_subprocess_exec(sys.executable, "-c", _ENGINE, str(tmp_path / "lock"))
    assert await engine.wait() == 0
    async with flocks.hold(tmp_path / "lock", patience=60):
        pass
