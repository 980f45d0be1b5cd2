"""What volumes hold, through everything that is done with them: on real pools, two of them, and real QEMUs."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.crash.scenarios_servers import a_flavor, a_server, a_stopped_server
from tests.crash.scenarios_volume_data import a_snapshot, an_unmanaged_volume
from tests.crash.stage import LIMIT, OTHER_POOL, OTHER_POOL_TYPE, PROJECT, SAME_POOL_TYPE, Stage, stage
from tests.pools.disk_io import parts, same, write

from cyclades.engine.engine import Phase
from cyclades.model import quota
from cyclades.model.errors import Failed, Full
from cyclades.model.names import image_disk, snapshot_disk, unmanaged_disk, volume_disk
from cyclades.model.units import GIB, KIB, MIB
from cyclades.operations import (
    image_create,
    image_delete,
    image_file,
    image_upload,
    server_create,
    server_delete,
    volume_attach,
    volume_create,
    volume_create_attached,
    volume_delete,
    volume_detach,
    volume_extend,
    volume_manage,
    volume_reimage,
    volume_retype,
    volume_revert,
    volume_unmanage,
    volume_upload,
)
from cyclades.operations.base import Work
from cyclades.operations.block_device import Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.pools.base import Pool
from cyclades.store import attachments, operations, quotas, schema
from cyclades.store.database import Database

END = GIB - KIB  # where the last KiB of a volume begins
ONE, TWO, ZERO = b"\1" * KIB, b"\2" * KIB, bytes(KIB)


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found
        assert await found.differences() == []
        await found.clear()


async def a_volume(cloud: Stage, **wanted: Any) -> str:
    """Of 1 GiB, with ones in its first KiB and in its last."""
    asked = Wanted(size=1, **wanted)
    volume_id: str = await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, asked))
    pool = await pool_of(cloud, volume_id)
    for offset in (0, END):
        await write(pool, volume_disk(volume_id), offset, KIB, 1)
    return volume_id


async def from_(cloud: Stage, source: Any, source_id: str, **wanted: Any) -> str:
    asked = Wanted(source=source, source_id=source_id, **wanted)
    return await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, asked))  # type: ignore[no-any-return]


async def row_of(cloud: Stage, volume_id: str) -> Any:
    return await cloud.one(schema.volume, volume_id)


async def pool_of(cloud: Stage, volume_id: str) -> Pool:
    return cloud.world.pools[(await row_of(cloud, volume_id)).pool]


async def ends(cloud: Stage, tmp_path: Path, volume_id: str, *more: tuple[int, int]) -> list[bytes]:
    """The first KiB of the volume, what was its last, and more."""
    pool = await pool_of(cloud, volume_id)
    return await parts(pool, volume_disk(volume_id), tmp_path, (0, KIB), (END, KIB), *more)


async def used(cloud: Stage) -> dict[str, int]:
    """What counts, without what nothing counts."""
    usage = await cloud.db.read(lambda tx: quotas.usage(tx, PROJECT))
    return {name: amount for name, amount in usage.items() if amount}


async def upload(cloud: Stage, volume_id: str, disk_format: str, *, in_use: bool = False) -> str:
    wanted = image_create.Wanted(name="made", disk_format=disk_format, container_format="bare")
    return await cloud.do(  # type: ignore[no-any-return]
        lambda tx: volume_upload.start(tx, cloud.caller, cloud.settings, volume_id, wanted, in_use=in_use)
    )


async def retype(cloud: Stage, volume_id: str, type_name: str) -> None:
    await cloud.do(
        lambda tx: volume_retype.start(tx, cloud.caller, cloud.settings, volume_id, type_name, may_move=True)
    )


# --- copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["volume", "snapshot"])
async def test_a_clone_is_independent_in_both_directions(cloud: Stage, tmp_path: Path, source: str) -> None:
    first = await a_volume(cloud)
    source_id = first if source == "volume" else await a_snapshot(cloud, first)
    second = await from_(cloud, source, source_id)
    pool = cloud.world.pools["local"]
    assert await same(tmp_path, (pool, volume_disk(first)), (pool, volume_disk(second)))
    await write(pool, volume_disk(first), 0, KIB, 2)
    await write(pool, volume_disk(second), END, KIB, 2)
    assert await ends(cloud, tmp_path, first) == [TWO, ONE]
    assert await ends(cloud, tmp_path, second) == [ONE, TWO]
    if source == "volume":
        await cloud.do(lambda tx: volume_delete.start(tx, cloud.caller, first))
        assert await ends(cloud, tmp_path, second) == [ONE, TWO]


async def test_a_snapshot_stays_as_it_is(cloud: Stage, tmp_path: Path) -> None:
    volume_id = await a_volume(cloud)
    snapshot_id = await a_snapshot(cloud, volume_id)
    pool = cloud.world.pools["local"]
    await write(pool, volume_disk(volume_id), 0, KIB, 2)
    await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2))
    await write(pool, volume_disk(volume_id), END, 2 * KIB, 2)
    assert await parts(pool, snapshot_disk(snapshot_id), tmp_path, (0, KIB), (END, 2 * KIB)) == [ONE, ONE]


async def test_an_extended_volume_keeps_its_data_and_has_zeros_after_it(cloud: Stage, tmp_path: Path) -> None:
    volume_id = await a_volume(cloud)
    await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2))
    assert await ends(cloud, tmp_path, volume_id, (GIB, MIB), (2 * GIB - KIB, 2 * KIB)) == [ONE, ONE, bytes(MIB), ZERO]


# --- revert and reimage ---------------------------------------------------------------------------


async def test_a_revert_brings_it_back_and_keeps_the_size(cloud: Stage, tmp_path: Path) -> None:
    volume_id = await a_volume(cloud)
    snapshot_id = await a_snapshot(cloud, volume_id)
    pool = cloud.world.pools["local"]
    await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2))
    await write(pool, volume_disk(volume_id), 0, MIB, 2)
    await write(pool, volume_disk(volume_id), END, MIB, 2)
    before = await used(cloud)
    for _ in range(2):
        await cloud.do(lambda tx: volume_revert.start(tx, cloud.caller, volume_id, snapshot_id))
        row = await row_of(cloud, volume_id)
        assert (row.status, row.size, row.reason) == ("available", 2, None)
        assert (await cloud.one(schema.snapshot, snapshot_id)).status == "available"
        assert await ends(cloud, tmp_path, volume_id, (KIB, MIB), (GIB, MIB)) == [ONE, ONE, bytes(MIB), bytes(MIB)]
        await write(pool, volume_disk(volume_id), 0, MIB, 2)
    assert await parts(pool, snapshot_disk(snapshot_id), tmp_path, (0, KIB), (END, KIB)) == [ONE, ONE]
    assert await used(cloud) == before


async def test_a_reimaged_volume_holds_the_image_and_zeros(cloud: Stage, tmp_path: Path) -> None:
    volume_id, image_id = await a_volume(cloud), await cloud.add_image()
    snapshot_id = await a_snapshot(cloud, volume_id)
    pool = cloud.world.pools["local"]
    await cloud.do(lambda tx: volume_reimage.start(tx, cloud.caller, volume_id, image_id, reserved=False))
    row = await row_of(cloud, volume_id)
    assert (row.status, row.bootable, row.image_id, row.size) == ("available", True, image_id, 1)
    assert row.image_metadata["image_id"] == image_id
    assert await ends(cloud, tmp_path, volume_id, (MIB, MIB)) == [bytes(range(256)) * 4, ZERO, bytes(MIB)]
    await write(pool, volume_disk(volume_id), 0, KIB, 2)
    await cloud.do(lambda tx: image_delete.start(tx, cloud.caller, image_id))
    assert await ends(cloud, tmp_path, volume_id, (KIB, KIB)) == [TWO, ZERO, bytes(range(256)) * 4]
    assert await parts(pool, snapshot_disk(snapshot_id), tmp_path, (0, KIB), (END, KIB)) == [ONE, ONE]


async def test_a_volume_that_could_not_be_made_is_healed_by_an_image(
    cloud: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools["local"], "create", full)
        volume_id = await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, Wanted(size=1)))
    assert (await row_of(cloud, volume_id)).status == "error"
    image_id = await cloud.add_image()
    await cloud.do(lambda tx: volume_reimage.start(tx, cloud.caller, volume_id, image_id, reserved=False))
    row = await row_of(cloud, volume_id)
    assert (row.status, row.reason) == ("available", None)
    assert await ends(cloud, tmp_path, volume_id) == [bytes(range(256)) * 4, ZERO]


async def full(*args: Any, **more: Any) -> None:
    raise Full("The pool has no space left.")


async def test_a_revert_that_fails_says_so_and_may_be_tried_again(
    cloud: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume_id = await a_volume(cloud)
    snapshot_id = await a_snapshot(cloud, volume_id)
    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools["local"], "revert", full)
        await cloud.do(lambda tx: volume_revert.start(tx, cloud.caller, volume_id, snapshot_id))
    row = await row_of(cloud, volume_id)
    assert (row.status, row.reason) == ("error", "The pool has no space left.")
    assert (await cloud.one(schema.snapshot, snapshot_id)).status == "available"
    await cloud.do(lambda tx: volume_revert.start(tx, cloud.caller, volume_id, snapshot_id))
    assert (await row_of(cloud, volume_id)).status == "available"
    assert await ends(cloud, tmp_path, volume_id) == [ONE, ONE]


# --- upload ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
async def test_a_volume_made_from_an_uploaded_one_is_identical(cloud: Stage, tmp_path: Path, disk_format: str) -> None:
    """Through the pool that the volume lies in, and through another."""
    volume_id = await a_volume(cloud)
    image_id = await upload(cloud, volume_id, disk_format)
    assert (await row_of(cloud, volume_id)).status == "available"
    image = await cloud.one(schema.image, image_id)
    assert (image.status, image.virtual_size, image.operation_id) == ("active", GIB, None)
    file = image_file.path_of(cloud.settings, image.file)
    assert (file.stat().st_size, file.stat().st_blocks * 512 < MIB) == (image.size, True)
    with file.open("rb") as content:
        assert hashlib.file_digest(content, "sha512").hexdigest() == image.os_hash_value
        content.seek(0)
        assert hashlib.file_digest(content, "md5").hexdigest() == image.checksum
    assert (await used(cloud))[quota.IMAGE_BYTES] == image.size == (GIB if disk_format == "raw" else image.size)
    pool = cloud.world.pools["local"]
    for type_name in ("standard", OTHER_POOL_TYPE):
        copy = await from_(cloud, "image", image_id, type=type_name)
        copy_pool = await pool_of(cloud, copy)
        assert await same(tmp_path, (pool, volume_disk(volume_id)), (copy_pool, volume_disk(copy)))
        await write(copy_pool, volume_disk(copy), 0, KIB, 2)
        assert await ends(cloud, tmp_path, volume_id) == [ONE, ONE]
    # An uploaded image is as good as any: it can be given out, and taken in again.
    await image_upload.recover(cloud.db, cloud.settings, alone=True)
    assert file.exists()


async def test_a_volume_in_use_is_uploaded_as_it_is(cloud: Stage, tmp_path: Path) -> None:
    volume_id, server_id = await a_volume(cloud), await a_server(cloud)
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id))
    image_id = await upload(cloud, volume_id, "raw", in_use=True)
    assert (await row_of(cloud, volume_id)).status == "in-use"
    copy = await from_(cloud, "image", image_id)
    assert await ends(cloud, tmp_path, copy) == [ONE, ONE]
    disks = {disk.name for disk in await cloud.world.pools["local"].disks()}
    assert not any(name.startswith("snf-snap-") for name in disks)


async def test_an_upload_that_fails_leaves_nothing(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = await a_volume(cloud)
    before = await used(cloud)
    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools["local"], "export", full)
        failed = [await upload(cloud, volume_id, disk_format) for disk_format in ("raw", "qcow2")]
    # How large a qcow2 becomes shows only when it is written: then its quota is taken.
    await cloud.db.write(lambda tx: quotas.set_limit(tx, PROJECT, quota.IMAGE_BYTES, KIB))
    failed.append(await upload(cloud, volume_id, "qcow2"))
    for image_id in failed:
        image = await cloud.one(schema.image, image_id)
        assert (image.status, image.deleted_at is None, image.file) == ("deleted", False, None)
    assert list(cloud.settings.image_dir.iterdir()) == []
    row = await row_of(cloud, volume_id)
    assert (row.status, row.reason) == ("available", None)
    told = await cloud.db.read(
        lambda tx: list(tx.execute(sa.select(schema.message.c.text).order_by(schema.message.c.created_at)).scalars())
    )
    assert [text[:20] for text in told] == ["The pool has no spac"] * 2 + ["Quota exceeded for i"]
    assert await used(cloud) == before


async def test_an_image_is_deleted_while_it_is_uploaded(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = await a_volume(cloud)
    pool, export = cloud.world.pools["local"], cloud.world.pools["local"].export

    async def delete_then_export(*args: Any, **more: Any) -> None:
        saving = sa.select(schema.image.c.id).where(schema.image.c.status == "saving")
        image_id = await cloud.db.read(lambda tx: tx.execute(saving).scalar_one())
        await cloud.db.write(lambda tx: image_delete.start(tx, cloud.caller, image_id))
        await export(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(pool, "export", delete_then_export)
        image_id = await upload(cloud, volume_id, "raw")
    image = await cloud.one(schema.image, image_id)
    assert (image.status, image.file, image.operation_id) == ("deleted", None, None)
    assert (await row_of(cloud, volume_id)).status == "available"
    assert list(cloud.settings.image_dir.iterdir()) == []


async def test_the_server_goes_while_its_volume_is_uploaded(cloud: Stage) -> None:
    """The upload is brought to its end first."""
    volume_id, server_id = await a_volume(cloud), await a_server(cloud)
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id))
    wanted = image_create.Wanted(name="made", disk_format="qcow2", container_format="bare")

    def both(tx: Any) -> str:
        image_id = volume_upload.start(tx, cloud.caller, cloud.settings, volume_id, wanted, in_use=True)
        server_delete.start(tx, cloud.caller, server_id)
        return image_id

    image_id = await cloud.do(both)
    assert (await cloud.one(schema.image, image_id)).status == "active"
    assert (await row_of(cloud, volume_id)).status == "available"


# --- two pools ------------------------------------------------------------------------------------


async def test_a_volume_goes_to_another_pool_and_back(cloud: Stage, tmp_path: Path) -> None:
    """With its data alone: it no longer depends on what it was cloned from."""
    first = await a_volume(cloud)
    volume_id = await from_(cloud, "volume", first, size=2)
    local, other = cloud.world.pools["local"], cloud.world.pools[OTHER_POOL]
    await write(local, volume_disk(volume_id), GIB, KIB, 2)
    before = await used(cloud)
    for type_name, here, there in ((OTHER_POOL_TYPE, other, local), ("standard", local, other)):
        await retype(cloud, volume_id, type_name)
        row = await row_of(cloud, volume_id)
        assert (row.status, row.pool, row.migration_status) == ("available", here.name, "success")
        assert await there.find(volume_disk(volume_id)) is None
        assert await ends(cloud, tmp_path, volume_id, (GIB, 2 * KIB)) == [ONE, ONE, TWO + ZERO]
        assert await cloud.differences() == []
    assert await used(cloud) == before
    await write(local, volume_disk(volume_id), 0, KIB, 2)
    assert await ends(cloud, tmp_path, first) == [ONE, ONE]


async def test_a_move_that_fails_leaves_the_volume_where_it_was(
    cloud: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume_id = await a_volume(cloud)
    before = await used(cloud)
    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools[OTHER_POOL], "receive", full)
        await retype(cloud, volume_id, OTHER_POOL_TYPE)
    row = await row_of(cloud, volume_id)
    assert (row.status, row.pool, row.migration_status) == ("available", "local", "error")
    assert await used(cloud) == before
    assert await ends(cloud, tmp_path, volume_id) == [ONE, ONE]


async def test_what_a_move_left_behind_is_never_taken_for_the_volume(
    cloud: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that could not be removed when the volume moved away stands in its way back, and says so."""
    volume_id = await a_volume(cloud)
    disk, local, other = volume_disk(volume_id), cloud.world.pools["local"], cloud.world.pools[OTHER_POOL]
    await local.rename(disk, "kept")
    await local.receive(disk, GIB, lambda target, fds: local.export("kept", target, "qcow2", fds=fds))
    await retype(cloud, volume_id, OTHER_POOL_TYPE)
    await local.rename("kept", disk)  # as if it had not been removed
    await write(other, disk, 0, KIB, 2)
    await retype(cloud, volume_id, "standard")
    row = await row_of(cloud, volume_id)
    assert (row.status, row.pool, row.migration_status) == ("available", OTHER_POOL, "error")
    assert await ends(cloud, tmp_path, volume_id) == [TWO, ONE]
    assert not any(found.name.startswith("snf-copy") for found in await local.disks())
    await local.delete(disk)
    await retype(cloud, volume_id, "standard")
    assert (await row_of(cloud, volume_id)).pool == "local"
    assert await ends(cloud, tmp_path, volume_id) == [TWO, ONE]


async def test_what_is_made_from_a_volume_comes_before_its_move(cloud: Stage, tmp_path: Path) -> None:
    """Asked for in one moment, and the clone is slow: it still finds the old disk."""
    first = await a_volume(cloud)
    may_clone = asyncio.Event()

    async def slow_clone(phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        if (work.kind, phase) == ("volume_create", "before"):
            await may_clone.wait()
        elif (work.kind, phase, step) in (
            ("volume_retype", "before", "wait"),
            ("volume_retype", "after", "remove_old"),
        ):
            may_clone.set()

    def both(tx: Any) -> str:
        asked = Wanted(source="volume", source_id=first)
        copy = volume_create.start(tx, cloud.caller, cloud.settings, asked)
        volume_retype.start(tx, cloud.caller, cloud.settings, first, OTHER_POOL_TYPE, may_move=True)
        return copy

    copy = await cloud.db.write(both)
    await cloud.settle(slow_clone)
    assert ((await row_of(cloud, copy)).status, (await row_of(cloud, copy)).pool) == ("available", "local")
    assert ((await row_of(cloud, first)).status, (await row_of(cloud, first)).pool) == ("available", OTHER_POOL)
    assert await ends(cloud, tmp_path, copy) == await ends(cloud, tmp_path, first) == [ONE, ONE]


async def test_one_server_has_volumes_of_two_pools(cloud: Stage, tmp_path: Path) -> None:
    near, far = await a_volume(cloud), await a_volume(cloud, type=OTHER_POOL_TYPE)
    assert ((await row_of(cloud, near)).pool, (await row_of(cloud, far)).pool) == ("local", OTHER_POOL)
    image_id = await cloud.add_image()
    root = Disk(new=Wanted(size=1, source="image", source_id=image_id, type=OTHER_POOL_TYPE), boot_index=0)
    asked = Asked(name="both", flavor_id=await a_flavor(cloud), disks=(root, Disk(volume_id=near), Disk(volume_id=far)))
    server_id = await cloud.do(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    assert (await cloud.one(schema.server, server_id)).status == "ACTIVE"
    assert len((await cloud.world.backends["local"].look(server_id)).disks) == 3
    assert await cloud.differences() == []
    pool = cloud.world.pools[OTHER_POOL]
    snapshot_id = await a_snapshot(cloud, far)
    assert await pool.find(snapshot_disk(snapshot_id)) is not None
    assert await pool.find(image_disk(image_id)) is not None
    assert await cloud.world.pools["local"].find(image_disk(image_id)) is None
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, far))
    assert await ends(cloud, tmp_path, far) == [ONE, ONE]
    await retype(cloud, near, SAME_POOL_TYPE)  # in use, and stays so
    assert (await row_of(cloud, near)).status == "in-use"


# --- adopted --------------------------------------------------------------------------------------


async def test_an_adopted_volume_is_as_good_as_any(cloud: Stage, tmp_path: Path) -> None:
    """Its disk begins a new life, whatever attachments it had before."""
    volume_id, server_id = await a_volume(cloud), await a_stopped_server(cloud)
    for _ in range(2):
        await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id))
        await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
    await cloud.do(lambda tx: volume_unmanage.start(tx, cloud.caller, volume_id))
    wanted = volume_manage.Wanted("local", unmanaged_disk(volume_id))
    adopted = await cloud.do(lambda tx: volume_manage.start(tx, cloud.caller, cloud.settings, wanted))
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, adopted))
    assert (await row_of(cloud, adopted)).status == "in-use"
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, adopted))
    assert await ends(cloud, tmp_path, adopted) == [ONE, ONE]


async def test_two_who_adopt_the_same(cloud: Stage) -> None:
    """One gets it; the other's volume says why not."""
    source = unmanaged_disk(await an_unmanaged_volume(cloud))

    def both(tx: Any) -> list[str]:
        wanted = volume_manage.Wanted("local", source)
        return [volume_manage.start(tx, cloud.caller, cloud.settings, wanted) for _ in range(2)]

    rows = [await row_of(cloud, volume_id) for volume_id in await cloud.do(both)]
    assert sorted(row.status for row in rows) == ["available", "error_managing"]
    assert all(row.reason for row in rows if row.status == "error_managing")


# --- made on a server -----------------------------------------------------------------------------


async def on_server(cloud: Stage, server_id: str, **wanted: Any) -> str:
    asked = Wanted(**{"size": 1, **wanted})
    return await cloud.do(  # type: ignore[no-any-return]
        lambda tx: volume_create_attached.start(tx, cloud.caller, cloud.settings, asked, server_id)
    )


async def test_a_volume_is_made_on_a_server(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    volume_id = await on_server(cloud, server_id)
    assert (await row_of(cloud, volume_id)).status == "in-use"
    plugged = (await cloud.world.backends["local"].look(server_id)).disks
    assert {disk.volume_id: disk.index for disk in plugged}[volume_id] == 1
    attached = await cloud.db.read(lambda tx: attachments.get(tx, server_id, volume_id))
    assert (attached.status, attached.delete_on_termination, attached.device) == ("attached", False, "/dev/sdb")
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id))
    assert (await row_of(cloud, volume_id)).generation == 2


@pytest.mark.parametrize(("part", "verb"), [("pool", "create"), ("pool", "claim"), ("backend", "plug")])
async def test_neither_made_nor_attached(cloud: Stage, monkeypatch: pytest.MonkeyPatch, part: str, verb: str) -> None:
    server_id = await a_server(cloud)
    broken = cloud.world.pools["local"] if part == "pool" else cloud.world.backends["local"]
    with monkeypatch.context() as patch:
        patch.setattr(broken, verb, full)
        volume_id = await on_server(cloud, server_id)
    row = await row_of(cloud, volume_id)
    assert (row.status, row.reason) == ("error", "The pool has no space left.")
    assert await cloud.world.pools["local"].find(volume_disk(volume_id)) is None
    assert volume_id not in {disk.volume_id for disk in (await cloud.world.backends["local"].look(server_id)).disks}
    attached = await cloud.db.read(lambda tx: attachments.of_server(tx, server_id))
    assert [one.disk_index for one in attached] == [0]


async def test_a_guest_that_does_not_let_go_keeps_what_was_made_for_it(
    cloud: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id = await a_server(cloud)
    backend = cloud.world.backends["local"]
    plug = backend.plug

    async def plug_and_fail(*args: Any, **named: Any) -> None:
        await plug(*args, **named)
        raise Failed("The guest answered with an error.")

    async def refuse(*args: Any, **named: Any) -> None:
        raise Failed("The guest did not let go.")

    with monkeypatch.context() as patch:
        patch.setattr(backend, "plug", plug_and_fail)
        patch.setattr(backend, "unplug", refuse)
        volume_id = await on_server(cloud, server_id)
    row = await row_of(cloud, volume_id)
    why = "The guest answered with an error. (Step plug could not be undone: The guest did not let go.)"
    assert (row.status, row.reason) == ("in-use", why)
    assert volume_id in {disk.volume_id for disk in (await backend.look(server_id)).disks}


async def test_a_server_goes_while_a_volume_is_made_on_it(cloud: Stage) -> None:
    server_id, source = await a_server(cloud), await a_volume(cloud)

    def both(tx: Any) -> str:
        asked = Wanted(source="volume", source_id=source)
        volume_id = volume_create_attached.start(tx, cloud.caller, cloud.settings, asked, server_id)
        server_delete.start(tx, cloud.caller, server_id)
        return volume_id

    volume_id = await cloud.do(both)
    assert (await cloud.one(schema.server, server_id)).status == "DELETED"
    assert (await row_of(cloud, volume_id)).status in ("error", "available")


async def test_progress_of_a_copy_is_kept(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = await a_volume(cloud)
    await write(cloud.world.pools["local"], volume_disk(volume_id), 0, 8 * MIB, 3)
    seen: list[float] = []
    record = operations.record

    def watched(tx: Any, op_id: str, token: int, **values: Any) -> None:
        seen.extend([values["progress"]] if values.get("progress") else [])
        record(tx, op_id, token, **values)

    monkeypatch.setattr(operations, "record", watched)
    async with asyncio.timeout(LIMIT):
        await upload(cloud, volume_id, "raw")
    assert seen
    assert all(0 < fraction <= 1 for fraction in seen)
    assert os.listdir(cloud.settings.image_dir)
