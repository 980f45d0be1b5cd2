"""A pool without space says so, loses nothing, and works again once there is some."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.pools.contract import IMAGE, A, B, S, T
from tests.pools.disk_io import content, write

from cyclades.model.errors import Full
from cyclades.model.units import KIB, MIB
from cyclades.pools import qemu_img
from cyclades.pools.base import at_rest
from cyclades.pools.qcow2 import Qcow2Pool, files
from cyclades.store.database import Database

_ONE = (b"\1" * KIB).ljust(MIB, b"\0")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "cyclades-test", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


async def test_an_image_may_not_take_all_that_is_free(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, raw, image = Qcow2Pool("local", tmp_path / "pool", database), tmp_path / "raw", tmp_path / "image"
    raw.write_bytes(os.urandom(16 * MIB))
    await qemu_img.convert(raw, "raw", image, "qcow2")
    monkeypatch.setattr(files, "space", lambda _: (1 << 40, 8 * MIB))
    with pytest.raises(Full):
        await pool.import_image(IMAGE, image, "qcow2")
    monkeypatch.undo()
    assert list((tmp_path / "pool" / "layers").iterdir()) == []
    await pool.import_image(IMAGE, image, "qcow2")
    assert await content(pool, IMAGE, tmp_path) == raw.read_bytes()


async def test_a_full_file_system(small_disk: Path, tmp_path: Path, database: Database) -> None:
    pool, image, filler = Qcow2Pool("local", small_disk, database), tmp_path / "image", small_disk / "filler"
    await pool.create(A, MIB)
    await write(pool, A, 0, KIB, 1)
    image.write_bytes(os.urandom(4 * MIB))
    with pytest.raises(Full):
        await pool.import_image(IMAGE, image, "raw")
    await pool.delete(IMAGE)
    await pool.snapshot(A, S, at_rest)
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(KIB))
    with pytest.raises(Full):
        await pool.create(B, MIB)
    with pytest.raises(Full):
        await pool.snapshot(A, T, at_rest)
    await pool.delete(B)
    await pool.delete(T)
    assert await content(pool, A, tmp_path) == _ONE
    assert {disk.name for disk in await pool.disks()} == {A, S}
    await pool.delete(S)  # what cannot be merged now is merged later
    assert await content(pool, A, tmp_path) == _ONE
    filler.unlink()
    await pool.tidy()
    assert len(list((small_disk / "layers").iterdir())) == 1
    assert await content(pool, A, tmp_path) == _ONE
