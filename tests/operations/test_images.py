"""Images as operations meet them: how they get into a pool, how they are used, and how they go."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cyclades.config import Settings, load
from cyclades.engine.engine import Engine
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, Forbidden, NotFound, WrongState
from cyclades.model.names import image_disk, volume_disk
from cyclades.model.units import GIB, MIB
from cyclades.operations import image_create, image_delete, image_file, image_upload, volume_create
from cyclades.operations.base import World
from cyclades.operations.image_create import Wanted as WantedImage
from cyclades.operations.image_in_pool import ensure_in_pool
from cyclades.operations.new_volume import Wanted as WantedVolume
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store import images, operations, quotas, volume_types, volumes
from cyclades.store.database import Database
from cyclades.store.schema import operation

LIMIT = 60  # seconds
MEMBER = Caller("u" * 32, "a" * 32, frozenset({"member"}), "req-1")
STRANGER = Caller("v" * 32, "b" * 32, frozenset({"member"}), "req-2")
ADMIN = Caller("w" * 32, "c" * 32, frozenset({"admin"}), "req-3")
CONTENT = os.urandom(2 * MIB + 512 * 7)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    settings: Settings = load(None, {}, data=str(tmp_path))
    settings.image_dir.mkdir()
    pool = Qcow2Pool("local", tmp_path / "pool", database)
    return World(database, settings, {"local": pool}, {})


async def upload(world: World, caller: Caller = MEMBER, **wanted: Any) -> str:
    """An active image."""
    asked = WantedImage(disk_format="raw", container_format="bare", **wanted)
    image_id = await world.db.write(lambda tx: image_create.start(tx, caller, world.settings, asked))

    async def chunks() -> AsyncIterator[bytes]:
        yield CONTENT

    await image_upload.upload(world.db, world.settings, caller, image_id, chunks(), announced=len(CONTENT))
    return image_id


async def delete(world: World, image_id: str) -> None:
    await world.db.write(lambda tx: image_delete.start(tx, MEMBER, image_id))


@contextlib.asynccontextmanager
async def an_engine(world: World) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Gives what waits for an operation of this kind to end, and returns its row."""
    ended = asyncio.Event()
    stop = world.db.listen("ended", ended.set)
    running = asyncio.create_task(Engine(world, alone=True, first_pause=0.005).run())

    async def until_ended(kind: str) -> Any:
        async with asyncio.timeout(LIMIT):
            while (row := await world.db.read(lambda tx: latest(tx, kind))).ended_at is None:
                await ended.wait()
                ended.clear()
        return row

    try:
        yield until_ended
    finally:
        stop()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def latest(tx: Any, kind: str) -> Any:
    return tx.execute(operation.select().where(operation.c.kind == kind)).one()


async def content(world: World, disk: str, target: Path, size: int) -> bytes:
    """The first `size` bytes of a disk; all of it is written to `target`."""
    await world.pools["local"].export(disk, target, "raw")
    with target.open("rb") as file:
        return file.read(size)


async def test_an_image_gets_into_a_pool_once(world: World) -> None:
    image_id = await upload(world)
    await asyncio.gather(*(ensure_in_pool(world, "local", image_id) for _ in range(4)))
    [disk] = await world.pools["local"].disks()
    assert disk.name == image_disk(image_id)
    assert disk.size == len(CONTENT)


async def test_an_image_that_was_deleted_does_not_get_into_a_pool(world: World) -> None:
    image_id = await upload(world)
    async with an_engine(world) as until_ended:
        await delete(world, image_id)
        await until_ended("image_delete")
    with pytest.raises(Failed, match="was deleted"):
        await ensure_in_pool(world, "local", image_id)
    assert await world.pools["local"].disks() == []


async def test_an_import_that_the_deletion_overtakes_leaves_nothing(world: World) -> None:
    """As when an engine lost its lease and goes on: nobody waits for it."""
    image_id = await upload(world)
    row = await world.db.read(lambda tx: images.get(tx, MEMBER, image_id))
    pool = world.pools["local"]

    class Overtaken(Qcow2Pool):
        async def import_image(self, *args: Any, **named: Any) -> None:
            await super().import_image(*args, **named)
            image_file.path_of(world.settings, row.file).unlink()

    overtaken = Overtaken("local", world.settings.data / "pool", world.db)
    with pytest.raises(Failed, match="was deleted"):
        await ensure_in_pool(World(world.db, world.settings, {"local": overtaken}, {}), "local", image_id)
    assert await pool.disks() == []


async def test_a_volume_has_the_images_bytes_and_outlives_it(world: World, tmp_path: Path) -> None:
    await world.db.write(
        lambda tx: volume_types.add(tx, "t" * 36, name="standard", is_public=True, is_default=True, extra_specs={})
    )
    image_id = await upload(world, name="small", properties={"hw_machine_type": "q35"}, min_disk=2)
    volume_id = await world.db.write(
        lambda tx: volume_create.start(tx, MEMBER, world.settings, WantedVolume(source="image", source_id=image_id))
    )
    # The deletion was accepted while the volume's operation was open: it waits for it.
    await delete(world, image_id)
    async with an_engine(world) as until_ended:
        assert (await until_ended("image_delete")).state == "done"
        assert (await until_ended("volume_create")).state == "done"
    row = await world.db.read(lambda tx: volumes.get(tx, volume_id, None))
    assert (row.status, row.size, row.bootable) == ("available", 2, True)
    assert row.image_metadata["image_name"] == "small"
    assert row.image_metadata["hw_machine_type"] == "q35"
    assert row.image_metadata["size"] == str(len(CONTENT))
    assert [disk.name for disk in await world.pools["local"].disks()] == [volume_disk(volume_id)]
    assert list(world.settings.image_dir.iterdir()) == []
    read = await content(world, volume_disk(volume_id), tmp_path / "read.raw", len(CONTENT) + MIB)
    assert read == CONTENT + bytes(MIB)
    assert (tmp_path / "read.raw").stat().st_size == 2 * GIB


async def test_a_deletion_waits_for_operations_that_began_before_it(world: World) -> None:
    image_id = await upload(world)

    def add(tx: Any) -> None:
        operations.add(
            tx, "o" * 36, kind="volume_create", args={"source": {"deep": [image_id]}}, resource_kind="volume",
            resource_id="x", project_id="p", user_id="u", request_id="r",
        )  # fmt: skip
        tx.execute(operation.update().values(not_before=2**62))

    await world.db.write(add)
    await delete(world, image_id)
    async with an_engine(world) as until_ended:
        await asyncio.wait_for(until_it_waits(world), LIMIT)
        assert len(list(world.settings.image_dir.iterdir())) == 1
        await world.db.write(
            lambda tx: tx.execute(operation.update().where(operation.c.id == "o" * 36).values(ended_at=1))
        )
        await until_ended("image_delete")
    assert list(world.settings.image_dir.iterdir()) == []


async def test_an_image_whose_deletion_failed_can_be_deleted_again(world: World) -> None:
    image_id = await upload(world)

    class Broken(Qcow2Pool):
        async def delete(self, *args: Any, **named: Any) -> None:
            raise Failed("broken on purpose")

    broken = Broken("local", world.settings.data / "pool", world.db)
    await delete(world, image_id)
    async with an_engine(World(world.db, world.settings, {"local": broken}, {})) as until_ended:
        assert (await until_ended("image_delete")).state == "failed"
    row = await world.db.read(lambda tx: images.get(tx, MEMBER, image_id))
    assert row.status == "pending_delete"
    used = await world.db.read(lambda tx: quotas.usage(tx, MEMBER.project_id))
    assert (used["images"], used["image_bytes"]) == (1, len(CONTENT))
    await world.db.write(lambda tx: tx.execute(operation.delete()))
    await delete(world, image_id)
    async with an_engine(world) as until_ended:
        assert (await until_ended("image_delete")).state == "done"
    used = await world.db.read(lambda tx: quotas.usage(tx, MEMBER.project_id))
    assert not any(used.values())
    assert list(world.settings.image_dir.iterdir()) == []


async def until_it_waits(world: World) -> None:
    while "still need" not in ((await world.db.read(lambda tx: latest(tx, "image_delete"))).reason or ""):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_who_may_use_an_image(world: World) -> None:
    def use(caller: Caller, image_id: str) -> Callable[[Any], Any]:
        return lambda tx: images.usable(tx, caller, image_id)

    shared, community = await upload(world), await upload(world, visibility="community")
    public = await upload(world, ADMIN, visibility="public")
    for caller in (MEMBER, ADMIN):
        for image_id in (shared, community, public):
            assert (await world.db.write(use(caller, image_id))).id == image_id
    for image_id in (community, public):
        assert (await world.db.write(use(STRANGER, image_id))).id == image_id
    with pytest.raises(NotFound):
        await world.db.write(use(STRANGER, shared))
    queued = await world.db.write(lambda tx: image_create.start(tx, MEMBER, world.settings, WantedImage()))
    with pytest.raises(WrongState, match="queued"):
        await world.db.write(use(MEMBER, queued))
    with pytest.raises(Forbidden):
        await world.db.write(lambda tx: image_delete.start(tx, STRANGER, community))
    await delete(world, shared)
    with pytest.raises(NotFound):
        await world.db.write(use(MEMBER, shared))


async def test_an_image_being_used_is_not_deleted_before_its_user_is_written(world: World) -> None:
    """Otherwise the deletion would not find the operation, and take the image from under it."""
    image_id = await upload(world)
    used, deleting = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def use(tx: Any) -> None:
        images.usable(tx, MEMBER, image_id)
        loop.call_soon_threadsafe(used.set)
        asyncio.run_coroutine_threadsafe(deleting.wait(), loop).result(LIMIT)
        operations.add(
            tx, "o" * 36, kind="volume_create", args={"image": image_id}, resource_kind="volume", resource_id="x",
            project_id="p", user_id="u", request_id="r",
        )  # fmt: skip

    using = asyncio.create_task(world.db.write(use))
    await asyncio.wait_for(used.wait(), LIMIT)
    deletion = asyncio.create_task(delete(world, image_id))
    done, _ = await asyncio.wait([deletion], timeout=0.2)
    assert not done
    deleting.set()
    await asyncio.gather(using, deletion)
    rows = await world.db.read(operations.open_ones)
    [own] = [row.id for row in rows if row.kind == "image_delete"]
    assert await world.db.read(lambda tx: images.used_by(tx, image_id, besides=own))
