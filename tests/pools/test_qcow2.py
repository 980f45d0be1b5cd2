"""The qcow2 pool: what every pool does, and what is its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.pools.contract import IMAGE, A, B, PoolContract, S, T
from tests.pools.disk_io import content, open_elsewhere, qemu_io, write

from cyclades.model.errors import Failed, Passing
from cyclades.model.names import snapshot_disk
from cyclades.model.units import KIB, MIB
from cyclades.pools import qemu_img
from cyclades.pools.base import Adoptable, at_rest
from cyclades.pools.qcow2 import Qcow2Pool, merge
from cyclades.pools.qcow2.layers import Layers
from cyclades.store import layers as rows
from cyclades.store.database import Database, Tx
from cyclades.store.schema import layer, pool_disk


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "pool"


@pytest.fixture
def pool(directory: Path, database: Database) -> Qcow2Pool:
    return Qcow2Pool("local", directory, database, deepest=5)


@pytest.fixture
def twin(directory: Path, database: Database) -> Qcow2Pool:
    return Qcow2Pool("local", directory, database, deepest=5)


def layer_files(directory: Path) -> set[str]:
    return {path.name for path in (directory / "layers").iterdir()}


def lock_files(directory: Path) -> set[str]:
    return {path.name for path in (directory / "locks").iterdir()}


def layer_rows(database: Database) -> set[str]:
    return database.read_now(lambda tx: rows.ids(tx, "local"))


class TestContract(PoolContract):
    @pytest.fixture(autouse=True)
    def nothing_leaks(self, directory: Path, database: Database) -> object:
        yield
        assert {name.partition(".")[0] for name in layer_files(directory)} == layer_rows(database)


async def test_nothing_is_left(pool: Qcow2Pool, directory: Path, database: Database) -> None:
    await pool.create(A, MIB)
    await pool.snapshot(A, S, at_rest)
    await pool.clone(B, S, MIB)
    await pool.delete(S)
    await pool.delete(A)
    await pool.delete(B)
    assert layer_files(directory) == set()
    assert layer_rows(database) == set()
    assert lock_files(directory) == set()


async def test_a_file_name_tells_nothing(pool: Qcow2Pool, directory: Path) -> None:
    await pool.create(A, MIB)
    assert not any(A in name or A.removeprefix("snf-vol-") == name for name in layer_files(directory))


async def test_the_only_snapshot_is_merged_at_rest(pool: Qcow2Pool, directory: Path, tmp_path: Path) -> None:
    """Both ways: what lies above is copied down when it is less, up when it is more."""
    await pool.create(A, 4 * MIB)
    await write(pool, A, 0, 2 * MIB, 1)
    big = layer_files(directory)
    await pool.snapshot(A, S, at_rest)
    await write(pool, A, 0, KIB, 2)
    await pool.extend(A, 5 * MIB)
    await pool.delete(S)
    assert layer_files(directory) == big
    expected = (b"\2" * KIB + b"\1" * (2 * MIB - KIB)).ljust(5 * MIB, b"\0")
    assert await content(pool, A, tmp_path) == expected
    await pool.snapshot(A, T, at_rest)
    await write(pool, A, 0, 4 * MIB, 3)
    await pool.delete(T)
    assert layer_files(directory).isdisjoint(big)
    assert len(layer_files(directory)) == 1
    assert await content(pool, A, tmp_path) == (b"\3" * 4 * MIB).ljust(5 * MIB, b"\0")


async def test_an_images_space_is_freed_with_its_last_clone(pool: Qcow2Pool, directory: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"\1" * MIB)
    await pool.import_image(IMAGE, source, "raw")
    await pool.clone(A, IMAGE, MIB)
    await pool.clone(B, IMAGE, MIB)
    await pool.delete(IMAGE)
    assert len(layer_files(directory)) == 3
    await pool.delete(A)
    assert len(layer_files(directory)) == 1  # merged into the only child
    assert await content(pool, B, tmp_path) == b"\1" * MIB
    assert source.read_bytes() == b"\1" * MIB
    await pool.delete(B)
    assert layer_files(directory) == set()


async def test_depth_is_bounded(pool: Qcow2Pool, database: Database, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    for number in range(12):
        await write(pool, A, number * KIB, KIB, number + 1)
        await pool.snapshot(A, snapshot_disk(str(number)), at_rest)
        assert len(await pool.files(A)) <= 6
    expected = b"".join(bytes([number + 1]) * KIB for number in range(12)).ljust(MIB, b"\0")
    assert await content(pool, A, tmp_path) == expected
    for number in range(12):
        part = expected[: (number + 1) * KIB].ljust(MIB, b"\0")
        assert await content(pool, snapshot_disk(str(number)), tmp_path) == part
    for number in range(12):
        await pool.delete(snapshot_disk(str(number)))
    assert await content(pool, A, tmp_path) == expected
    assert len(layer_rows(database)) == 1


async def test_a_merge_below_an_open_disk_waits_for_tidy(pool: Qcow2Pool, directory: Path, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    for byte, snapshot in ((1, S), (2, T)):
        await write(pool, A, byte * KIB, KIB, byte)
        await pool.snapshot(A, snapshot, at_rest)
    async with pool.opening(A) as blockdev:
        pass
    async with open_elsewhere(blockdev):
        await pool.delete(S)
        assert len(layer_files(directory)) == 3
        with pytest.raises(Passing):
            await pool.delete(A)
        with pytest.raises(Passing):
            await pool.export(A, tmp_path / "x", "raw")
    assert len(await pool.tidy()) == 1
    assert len(layer_files(directory)) == 2
    assert await content(pool, T, tmp_path) == (bytes(KIB) + b"\1" * KIB + b"\2" * KIB).ljust(MIB, b"\0")


async def test_two_that_stand_on_each_other_go_at_once(
    pool: Qcow2Pool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upper one is gone when the lower one is to be merged with it, and who removed it has seen the lower one's
    name still."""
    await pool.create(A, MIB)
    await pool.snapshot(A, S, at_rest)
    await pool.snapshot(A, T, at_rest)
    await pool.delete(A)
    upper = database.read_now(lambda tx: rows.find(tx, "local", T))
    assert upper is not None
    try_merge = merge._try_merge

    async def too_late(layers: Layers, *args: Any) -> bool:
        await database.write(lambda tx: rows.remove_disk(tx, "local", T))
        await layers.drop(upper.layer_id)
        return await try_merge(layers, *args)

    monkeypatch.setattr(merge, "_try_merge", too_late)
    await pool.delete(S)
    assert layer_rows(database) == set()
    assert await pool.tidy() == []


async def test_many_snapshots_of_a_volume_go_at_once(pool: Qcow2Pool, twin: Qcow2Pool, tmp_path: Path) -> None:
    """Each layer is merged with the next one while the one below it is merged with it."""
    await pool.create(A, MIB)
    snapshots = [snapshot_disk(f"{number:032}") for number in range(8)]
    for number, name in enumerate(snapshots):
        await write(pool, A, number * KIB, KIB, number + 1)
        await pool.snapshot(A, name, at_rest)
    await asyncio.gather(*((pool, twin)[number % 2].delete(name) for number, name in enumerate(snapshots)))
    await pool.tidy()
    expected = b"".join(bytes([number + 1]) * KIB for number in range(len(snapshots)))
    assert await content(pool, A, tmp_path) == expected.ljust(MIB, b"\0")


async def test_tidy_removes_only_what_was_being_made(pool: Qcow2Pool, directory: Path) -> None:
    await pool.create(A, MIB)
    mine, my_locks = layer_files(directory), lock_files(directory)
    own = next(iter(mine)).partition(".")[0]
    for name in ("stranger.raw.new", f"{own}.qcow2.new"):
        (directory / "layers" / name).touch()
    (directory / "locks" / "disk-gone").touch()
    assert len(await pool.tidy()) == 2
    assert layer_files(directory) == mine
    assert lock_files(directory) == my_locks
    assert await pool.tidy() == []


async def test_what_older_books_do_not_know_stays(
    pool: Qcow2Pool, directory: Path, database: Database, tmp_path: Path
) -> None:
    """As after a backup of the database was restored: a volume was snapshot since, and another one made."""
    await pool.create(A, MIB)
    await write(pool, A, 0, KIB, 1)

    def read(tx: Tx) -> dict[sa.Table, list[dict[str, Any]]]:
        return {table: [row._asdict() for row in tx.execute(table.select())] for table in (layer, pool_disk)}

    old = await database.read(read)
    await pool.snapshot(A, S, at_rest)
    await pool.create(B, MIB)
    await pool.claim(B, "c1/x", 1, card=True)
    newer = layer_files(directory)

    def restore(tx: Tx) -> None:
        for table in (pool_disk, layer):
            tx.execute(table.delete())
        for table, rows_then in old.items():
            tx.execute(table.insert(), rows_then)

    await database.write(restore)
    await pool.tidy()
    assert layer_files(directory) == newer
    assert (directory / "cards" / f"{B}.json").exists()
    known = f"{old[layer][0]['id']}.qcow2"
    strangers = await pool.strangers()
    assert {one.name for one in strangers} == newer - {known}
    assert {one.stands_on for one in strangers} == {known, None}
    # The newer layer stands on this one: nobody writes to it.
    with pytest.raises(Failed, match="older than the pool"):
        await write(pool, A, 0, KIB, 2)
    with pytest.raises(Failed, match="older than the pool"):
        await pool.claim(A, "c1/x", 1, card=True)


async def test_a_damaged_disk_is_not_opened(pool: Qcow2Pool, directory: Path) -> None:
    await pool.create(A, MIB)
    (directory / "layers" / next(iter(layer_files(directory)))).unlink()
    with pytest.raises(Failed, match="missing"):
        async with pool.opening(A):
            pass


async def test_frozen_files_are_read_only(pool: Qcow2Pool, directory: Path) -> None:
    await pool.create(A, MIB)
    await pool.snapshot(A, S, at_rest)
    head, frozen = await pool.files(A)
    assert (head.stat().st_mode & 0o777, frozen.stat().st_mode & 0o777) == (0o640, 0o440)


@pytest.mark.parametrize("name", ["../x", "", "a/b", "a" * 65, "-x", "x\0"])
async def test_names_that_cannot_be(pool: Qcow2Pool, name: str) -> None:
    with pytest.raises(Failed):
        await pool.create(name, MIB)


async def test_qemu_io_sees_a_file_of_ours_as_whole(pool: Qcow2Pool) -> None:
    await pool.create(A, MIB)
    async with pool.opening(A) as blockdev:
        await qemu_io(blockdev, "length")


@pytest.mark.parametrize("file_format", ["raw", "qcow2"])
async def test_a_file_that_the_operator_dropped_is_adopted(
    pool: Qcow2Pool, twin: Qcow2Pool, directory: Path, tmp_path: Path, file_format: str
) -> None:
    raw, file = tmp_path / "raw", directory / "incoming" / "old-disk"
    raw.write_bytes((b"\1" * KIB + bytes(MIB) + b"\2" * KIB).ljust(2 * MIB, b"\0"))
    await qemu_img.convert(raw, "raw", file, file_format)
    assert await pool.adoptable() == [Adoptable("incoming/old-disk", 2 * MIB)]
    for again in (pool, twin):
        await again.adopt(A, "incoming/old-disk", 3 * MIB)
        assert not file.exists()
    assert await pool.adoptable() == []
    await write(pool, A, 0, KIB, 3)
    assert await content(pool, A, tmp_path) == b"\3" * KIB + raw.read_bytes()[KIB:] + bytes(MIB)


async def test_a_dropped_file_that_cannot_be_used_says_why(pool: Qcow2Pool, directory: Path, tmp_path: Path) -> None:
    """It is found out without a program of QEMU's, and the file stays."""
    incoming = directory / "incoming"
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(MIB))
    (incoming / "link").symlink_to(secret)
    (incoming / "directory").mkdir()
    (incoming / "empty").touch()
    (incoming / "not a name").touch()
    await qemu_img.run("create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", incoming / "backed")
    found = {one.name: one.reason or "" for one in await pool.adoptable()}
    assert sorted(found) == ["incoming/backed", "incoming/directory", "incoming/empty", "incoming/link"]
    assert "backing file" in found["incoming/backed"]
    assert all(found.values())
    for name in (*found, "incoming/gone", "incoming/../layers", "incoming/"):
        with pytest.raises(Failed):
            await pool.adopt(A, name, MIB)
    assert await pool.disks() == []
    assert (incoming / "backed").exists()
    await pool.delete(A)
    assert layer_files(directory) == set()


async def test_a_file_larger_than_the_volume_is_not_adopted(pool: Qcow2Pool, directory: Path) -> None:
    (directory / "incoming" / "large").write_bytes(bytes(2 * MIB))
    with pytest.raises(Failed, match="too small"):
        await pool.adopt(A, "incoming/large", MIB)
    assert (directory / "incoming" / "large").exists()
