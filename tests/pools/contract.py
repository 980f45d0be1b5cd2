"""What every pool must do, written against the interface alone. A module of tests for one engine inherits
`PoolContract` and gives it the fixtures `pool`, and `twin`: the same pool as another engine process has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.pools.disk_io import content, write

from cyclades.model.errors import Failed
from cyclades.model.names import image_disk, snapshot_disk, volume_disk
from cyclades.model.units import KIB, MIB
from cyclades.pools import qemu_img
from cyclades.pools.base import Pool, at_rest

A, B, C = volume_disk("a"), volume_disk("b"), volume_disk("c")
S, T, IMAGE = snapshot_disk("s"), snapshot_disk("t"), image_disk("i")


async def names(pool: Pool) -> set[str]:
    return {disk.name for disk in await pool.disks()}


class PoolContract:
    async def test_a_new_disk_reads_as_zeros(self, pool: Pool, tmp_path: Path) -> None:
        await pool.create(A, MIB)
        assert await content(pool, A, tmp_path) == bytes(MIB)

    async def test_every_method_can_be_repeated(self, pool: Pool, twin: Pool, tmp_path: Path) -> None:
        await pool.create(A, MIB)
        await write(pool, A, 0, KIB, 1)
        await twin.create(A, MIB)
        for again in (pool, twin):
            await again.snapshot(A, S, at_rest)
            await again.clone(B, S, MIB)
            await again.extend(A, 2 * MIB)
        await write(pool, B, KIB, KIB, 2)
        await twin.clone(B, S, MIB)
        assert await content(pool, A, tmp_path) == (b"\1" * KIB).ljust(2 * MIB, b"\0")
        assert await content(pool, B, tmp_path) == (b"\1" * KIB + b"\2" * KIB).ljust(MIB, b"\0")
        for again in (pool, twin):
            await again.delete(S)
            await again.delete(A)
            await again.delete(B)
        assert await pool.disks() == []

    async def test_two_engines_may_do_the_same_at_once(self, pool: Pool, twin: Pool, tmp_path: Path) -> None:
        async def both(method: str, *args: object) -> None:
            await asyncio.gather(*(getattr(engine, method)(*args) for engine in (pool, twin)))

        await both("create", A, MIB)
        await write(pool, A, 0, KIB, 1)
        await both("snapshot", A, S, at_rest)
        await both("clone", B, S, MIB)
        await both("extend", B, 2 * MIB)
        await both("claim", A, "local/x", 1)
        await both("release", A, "local/x", 1)
        await both("revert", A, S)
        assert await content(twin, A, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")
        assert await content(twin, B, tmp_path) == (b"\1" * KIB).ljust(2 * MIB, b"\0")
        for disk in (S, A, B):
            await both("delete", disk)
        assert await pool.disks() == []
        assert await pool.tidy() == []

    async def test_a_snapshot_keeps_what_was(self, pool: Pool, tmp_path: Path) -> None:
        await pool.create(A, MIB)
        await write(pool, A, 0, KIB, 1)
        await pool.snapshot(A, S, at_rest)
        await write(pool, A, 0, KIB, 2)
        assert await content(pool, S, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")
        assert await content(pool, A, tmp_path) == (b"\2" * KIB).ljust(MIB, b"\0")

    async def test_a_clone_goes_its_own_way(self, pool: Pool, tmp_path: Path) -> None:
        await pool.create(A, MIB)
        await write(pool, A, 0, KIB, 1)
        await pool.snapshot(A, S, at_rest)
        await pool.clone(B, S, 2 * MIB)
        await write(pool, B, MIB, KIB, 2)
        await write(pool, A, 0, KIB, 3)
        await pool.delete(A)
        await pool.delete(S)
        assert await content(pool, B, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0") + (b"\2" * KIB).ljust(MIB, b"\0")
        assert await names(pool) == {B}

    async def test_deleting_a_snapshot_leaves_the_others_and_the_volume(self, pool: Pool, tmp_path: Path) -> None:
        await pool.create(A, MIB)
        for byte, snapshot in ((1, S), (2, T)):
            await write(pool, A, byte * KIB, KIB, byte)
            await pool.snapshot(A, snapshot, at_rest)
        await write(pool, A, 3 * KIB, KIB, 3)
        await pool.delete(S)
        assert await content(pool, T, tmp_path) == (bytes(KIB) + b"\1" * KIB + b"\2" * KIB).ljust(MIB, b"\0")
        await pool.delete(T)
        whole = bytes(KIB) + b"\1" * KIB + b"\2" * KIB + b"\3" * KIB
        assert await content(pool, A, tmp_path) == whole.ljust(MIB, b"\0")

    async def test_revert_gives_back_the_content_and_keeps_the_size(self, pool: Pool, tmp_path: Path) -> None:
        await pool.create(A, MIB)
        await write(pool, A, 0, KIB, 1)
        await pool.snapshot(A, S, at_rest)
        await pool.extend(A, 2 * MIB)
        await write(pool, A, 0, 2 * MIB, 2)
        for _ in range(2):
            await pool.revert(A, S)
            assert await content(pool, A, tmp_path) == (b"\1" * KIB).ljust(2 * MIB, b"\0")
        await write(pool, A, 0, KIB, 3)
        assert await content(pool, S, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")

    async def test_revert_to_an_image_overwrites_and_leaves_the_snapshots(self, pool: Pool, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"\2" * MIB)
        await pool.import_image(IMAGE, source, "raw")
        await pool.create(A, 2 * MIB)
        await write(pool, A, 0, 2 * MIB, 1)
        await pool.snapshot(A, S, at_rest)
        for _ in range(2):
            await pool.revert(A, IMAGE)
            assert await content(pool, A, tmp_path) == b"\2" * MIB + bytes(MIB)
        await write(pool, A, 0, KIB, 3)
        await pool.delete(IMAGE)
        assert await content(pool, A, tmp_path) == (b"\3" * KIB + b"\2" * (MIB - KIB)).ljust(2 * MIB, b"\0")
        assert await content(pool, S, tmp_path) == b"\1" * 2 * MIB

    async def test_a_revert_that_is_no_longer_wanted_changes_nothing(self, pool: Pool, tmp_path: Path) -> None:
        async def overtaken() -> None:
            raise Failed("Another did it.")

        await pool.create(A, MIB)
        await pool.snapshot(A, S, at_rest)
        await write(pool, A, 0, KIB, 1)
        with pytest.raises(Failed, match="Another did it"):
            await pool.revert(A, S, overtaken)
        await pool.claim(A, "local/x", 1)
        with pytest.raises(Failed):
            await pool.revert(A, S)
        await pool.release(A, "local/x", 1)
        assert await content(pool, A, tmp_path) == (b"\1" * KIB).ljust(MIB, b"\0")

    async def test_extend_adds_zeros_and_never_shrinks(self, pool: Pool, tmp_path: Path) -> None:
        await pool.create(A, MIB)
        await write(pool, A, 0, MIB, 1)
        await pool.extend(A, 2 * MIB)
        assert await content(pool, A, tmp_path) == b"\1" * MIB + bytes(MIB)
        with pytest.raises(Failed):
            await pool.extend(A, MIB)
        found = await pool.find(A)
        assert found is not None
        assert found.size == 2 * MIB

    @pytest.mark.parametrize("file_format", ["raw", "qcow2"])
    async def test_an_image_is_taken_in_cloned_and_given_out(
        self, pool: Pool, tmp_path: Path, file_format: str
    ) -> None:
        raw, source, target = tmp_path / "raw", tmp_path / "source", tmp_path / "target"
        raw.write_bytes((b"\1" * KIB + bytes(MIB) + b"\2" * KIB).ljust(2 * MIB, b"\0"))
        await qemu_img.convert(raw, "raw", source, file_format)
        for _ in range(2):
            await pool.import_image(IMAGE, source, file_format)
        source.unlink()
        assert await content(pool, IMAGE, tmp_path) == raw.read_bytes()
        await pool.clone(A, IMAGE, 3 * MIB)
        await write(pool, A, 0, KIB, 3)
        assert await content(pool, IMAGE, tmp_path) == raw.read_bytes()
        await pool.delete(IMAGE)
        expected = b"\3" * KIB + raw.read_bytes()[KIB:] + bytes(MIB)
        assert await content(pool, A, tmp_path) == expected
        await pool.export(A, target, "qcow2")
        out = tmp_path / "out"
        await qemu_img.convert(target, "qcow2", out, "raw")
        assert out.read_bytes() == expected

    async def test_an_image_that_is_not_what_it_says_leaves_nothing(self, pool: Pool, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"QFI\xfb" + bytes(MIB))
        with pytest.raises(Failed):
            await pool.import_image(IMAGE, source, "qcow2")
        await pool.delete(IMAGE)
        assert await pool.disks() == []
        assert await pool.tidy() == []

    async def test_a_volume_is_received_from_a_file(self, pool: Pool, twin: Pool, tmp_path: Path) -> None:
        """As when it moves from one pool to another: what `export` writes."""
        await pool.create(A, 2 * MIB)
        await write(pool, A, MIB, KIB, 1)
        calls = []

        async def copy(target: Path, fds: Sequence[int]) -> None:
            calls.append(target)
            await pool.export(A, target, "qcow2", fds=fds)

        await pool.receive(B, 3 * MIB, copy)
        await twin.receive(B, 3 * MIB, copy)
        assert len(calls) == 1
        await write(pool, B, 0, KIB, 2)
        await twin.receive(B, 3 * MIB, copy)
        expected = ((b"\2" * KIB).ljust(MIB, b"\0") + b"\1" * KIB).ljust(3 * MIB, b"\0")
        assert await content(pool, B, tmp_path) == expected
        await pool.snapshot(B, S, at_rest)
        await pool.delete(A)
        await pool.delete(S)
        assert await content(pool, B, tmp_path) == expected
        found = await pool.find(B)
        assert found is not None
        assert found.size == 3 * MIB

    async def test_a_volume_that_is_not_received_whole_leaves_nothing(self, pool: Pool) -> None:
        async def fail(target: Path, fds: Sequence[int]) -> None:
            target.write_bytes(b"half")
            raise Failed("The other pool does not answer.")

        async def too_large(target: Path, fds: Sequence[int]) -> None:
            await pool.export(A, target, "qcow2", fds=fds)

        await pool.create(A, 2 * MIB)
        for write_file in (fail, too_large):
            with pytest.raises(Failed):
                await pool.receive(B, MIB, write_file)
            assert await names(pool) == {A}
        await pool.delete(B)
        await pool.delete(A)
        assert await pool.tidy() == []

    async def test_disks_are_let_go_of_and_adopted(self, pool: Pool, twin: Pool, tmp_path: Path) -> None:
        await pool.create(A, MIB)
        await write(pool, A, 0, KIB, 1)
        await pool.claim(A, "local/x", 7)
        await pool.release(A, "local/x", 7)
        await pool.snapshot(A, S, at_rest)
        await write(pool, A, 0, KIB, 2)
        assert await pool.adoptable() == []
        for again in (pool, twin):
            await again.rename(S, "free-snapshot")
            await again.rename(A, "free")
        assert {found.name: (found.size, found.snapshot_of, found.reason) for found in await pool.adoptable()} == {
            "free": (MIB, None, None),
            "free-snapshot": (MIB, "free", None),
        }
        assert await names(pool) == {"free", "free-snapshot"}
        for again in (pool, twin):
            await again.adopt(B, "free", 2 * MIB)
            await again.rename("free-snapshot", T)
        assert await pool.adoptable() == []
        assert await names(pool) == {B, T}
        assert await content(pool, B, tmp_path) == (b"\2" * KIB).ljust(2 * MIB, b"\0")
        await pool.claim(B, "local/y", 1)  # its generations begin anew
        await pool.release(B, "local/y", 1)
        await pool.revert(B, T)
        assert await content(pool, B, tmp_path) == (b"\1" * KIB).ljust(2 * MIB, b"\0")

    async def test_what_cannot_be_renamed_or_adopted(self, pool: Pool) -> None:
        await pool.create(A, MIB)
        await pool.create(B, MIB)
        await pool.snapshot(A, "free-snapshot", at_rest)
        with pytest.raises(Failed):
            await pool.rename(A, B)  # it is another's
        with pytest.raises(Failed):
            await pool.rename(C, "free")  # there is none
        with pytest.raises(Failed):
            await pool.adopt(C, "free", MIB)
        with pytest.raises(Failed):
            await pool.adopt(C, "free-snapshot", MIB)
        await pool.claim(A, "local/x", 1)
        with pytest.raises(Failed):
            await pool.rename(A, "free")  # a server has it
        assert await names(pool) == {A, B, "free-snapshot"}

    async def test_refusals(self, pool: Pool) -> None:
        await pool.create(A, 2 * MIB)
        await pool.snapshot(A, S, at_rest)
        with pytest.raises(Failed):
            await pool.clone(B, S, MIB)  # too small
        with pytest.raises(Failed):
            await pool.clone(B, A, 2 * MIB)  # a volume changes
        with pytest.raises(Failed):
            await pool.clone(B, T, 2 * MIB)  # there is none
        with pytest.raises(Failed):
            await pool.snapshot(C, T, at_rest)
        with pytest.raises(Failed):
            await pool.revert(A, T)
        with pytest.raises(Failed):
            async with pool.opening(C):
                pass
        with pytest.raises(Failed):
            async with pool.opening(S):
                pass
        assert await names(pool) == {A, S}
        assert await pool.find(B) is None

    async def test_one_owner_at_a_time(self, pool: Pool, twin: Pool) -> None:
        await pool.create(A, MIB)
        await pool.claim(A, "local/x", 3)
        await twin.claim(A, "local/x", 3)
        with pytest.raises(Failed):
            await twin.claim(A, "local/y", 4)
        await pool.release(A, "local/y", 9)
        await pool.release(A, "local/x", 2)  # late news
        with pytest.raises(Failed):
            await pool.delete(A)
        await pool.release(A, "local/x", 3)
        await pool.release(A, "local/x", 3)
        with pytest.raises(Failed):
            await twin.claim(A, "local/y", 2)  # late news
        await twin.claim(A, "local/y", 4)
        found = await pool.find(A)
        assert found is not None
        assert (found.owner, found.generation) == ("local/y", 4)

    async def test_an_owner_whose_machine_reads_the_pool_is_an_owner_as_any(self, pool: Pool, twin: Pool) -> None:
        await pool.create(A, MIB)
        for again in (pool, twin):
            await again.claim(A, "c1/x", 1, card=True)
        with pytest.raises(Failed):
            await twin.claim(A, "c1/y", 2, card=True)
        for owner, generation in (("c1/y", 1), ("c1/x", 2), ("c1/x", 1), ("c1/x", 1)):
            await twin.unbind(A, owner, generation)
        with pytest.raises(Failed):
            await pool.delete(A)
        for again in (pool, twin):
            await again.release(A, "c1/y", 1)
            await again.release(A, "c1/x", 1)
        await pool.claim(A, "local/z", 2)
        await twin.claim(A, "local/z", 2, card=True)
        found = await pool.find(A)
        assert found is not None
        assert (found.owner, found.generation) == ("local/z", 2)
        await pool.release(A, "local/z", 2)
        await pool.unbind(B, "c1/x", 1)
        await pool.release(B, "c1/x", 1)
        await pool.delete(A)
        assert await pool.tidy() == []

    async def test_two_claims_race_and_one_wins(self, pool: Pool, twin: Pool) -> None:
        await pool.create(A, MIB)
        outcomes = await asyncio.gather(
            pool.claim(A, "local/x", 1), twin.claim(A, "local/y", 1), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [Failed]

    async def test_usage_counts_volumes(self, pool: Pool) -> None:
        await pool.create(A, MIB)
        await pool.create(B, 2 * MIB)
        await pool.snapshot(A, S, at_rest)
        usage = await pool.usage()
        assert usage.promised == 3 * MIB
        assert 0 < usage.free <= usage.total

    async def test_large_disks_are_no_slower_to_describe(self, pool: Pool) -> None:
        """A snapshot and a clone of a TiB take no space."""
        await pool.create(A, 1 << 40)
        await pool.snapshot(A, S, at_rest)
        await pool.clone(B, S, 1 << 40)
        assert sum(disk.used for disk in await pool.disks()) < MIB
