"""Images of servers, on real pools and real QEMUs: what is in them, what is made from them, and how they go."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.api.client import client, token
from tests.crash.scenarios_servers import (
    a_flavor,
    a_server,
    a_server_of_volumes,
    a_stopped_server,
    an_image_of,
    take_image,
)
from tests.crash.stage import OTHER_POOL, OTHER_POOL_TYPE, PROJECT, Stage, stage
from tests.pools.disk_io import parts, write

from cyclades.api.image import SERVICES
from cyclades.engine.engine import Engine
from cyclades.model import quota
from cyclades.model.errors import Failed, Invalid
from cyclades.model.names import image_disk, snapshot_disk, volume_disk
from cyclades.model.units import GIB, KIB, MIB
from cyclades.operations import (
    image_delete,
    image_mapping,
    image_write,
    server_create,
    server_delete,
    server_stop,
    snapshot_delete,
    volume_create,
    volume_extend,
    volume_reimage,
)
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store import attachments, layers, quotas, schema
from cyclades.store.database import Database, Tx

IMAGES = "/image/v2/images"
FIRST = bytes(range(256)) * 4  # the first KiB of the images here, which hold nothing else for 1 MiB


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found
        assert await found.differences() == []
        await found.clear()


@contextlib.asynccontextmanager
async def an_engine(cloud: Stage) -> AsyncIterator[None]:
    running = asyncio.create_task(Engine(cloud.world, alone=True, first_pause=0.005).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def the_image_service(cloud: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with client(cloud.db, cloud.settings, SERVICES, **{"X-Auth-Token": token(PROJECT, "admin")}) as speaking:
        yield speaking


async def volumes_of(cloud: Stage, server_id: str) -> list[str]:
    """Of a server, the root first."""
    return [row.volume_id for row in await cloud.db.read(lambda tx: attachments.of_server(tx, server_id))]


async def image_row(cloud: Stage, image_id: str) -> Any:
    return await cloud.one(schema.image, image_id)


async def used(cloud: Stage) -> dict[str, int]:
    usage = await cloud.db.read(lambda tx: quotas.usage(tx, PROJECT))
    return {name: amount for name, amount in usage.items() if amount}


async def messages(cloud: Stage) -> list[str]:
    return await cloud.db.read(lambda tx: list(tx.execute(sa.select(schema.message.c.text)).scalars()))


async def server_from(cloud: Stage, image_id: str) -> str:
    asked = Asked(name="again", flavor_id=await a_flavor(cloud), image_id=image_id)
    return await cloud.do(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))  # type: ignore[no-any-return]


async def volume_from(cloud: Stage, image_id: str, **wanted: Any) -> str:
    asked = Wanted(source="image", source_id=image_id, **wanted)
    return await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, asked))  # type: ignore[no-any-return]


async def chain(cloud: Stage, disk: str) -> list[str]:
    """The layers of a disk, the top first."""

    def read(tx: Tx) -> list[str]:
        row = layers.find(tx, "local", disk)
        assert row is not None
        return [layer.id for layer in layers.chain(tx, row.layer_id)]

    return await cloud.db.read(read)


async def first_byte(cloud: Stage, disk: str, tmp_path: Path, *, pool: str = "local") -> bytes:
    return (await parts(cloud.world.pools[pool], disk, tmp_path, (0, 1)))[0]


# --- of a server that was booted by an image ------------------------------------------------------


async def test_it_is_there_at_once_and_takes_no_room(cloud: Stage, tmp_path: Path) -> None:
    """No file is written, and what is made from it stands on the same layer as the server's own root."""
    server_id = await a_server(cloud)
    (root,) = await volumes_of(cloud, server_id)
    files = set(cloud.settings.image_dir.iterdir())
    image_id = await an_image_of(cloud, server_id)
    row = await image_row(cloud, image_id)
    assert (row.status, row.size, row.checksum, row.operation_id) == ("active", GIB, None, None)
    assert set(cloud.settings.image_dir.iterdir()) == files
    server, volume = await cloud.one(schema.server, server_id), await cloud.one(schema.volume, root)
    assert (server.status, server.task_state, server.operation_id) == ("ACTIVE", None, None)
    assert (volume.status, volume.operation_id) == ("in-use", None)
    second = await server_from(cloud, image_id)
    shown = await cloud.one(schema.server, second)
    assert (shown.status, shown.image_id) == ("ACTIVE", image_id)
    (copy,) = await volumes_of(cloud, second)
    layer = (await chain(cloud, image_disk(image_id)))[0]
    assert (await chain(cloud, volume_disk(root)))[1] == (await chain(cloud, volume_disk(copy)))[1] == layer
    assert (await parts(cloud.world.pools["local"], image_disk(image_id), tmp_path, (0, KIB)))[0] == FIRST


async def test_it_keeps_the_moment(cloud: Stage, tmp_path: Path) -> None:
    server_id = await a_stopped_server(cloud)
    (root,) = await volumes_of(cloud, server_id)
    pool = cloud.world.pools["local"]
    await write(pool, volume_disk(root), 0, KIB, 1)
    image_id = await an_image_of(cloud, server_id)
    await write(pool, volume_disk(root), 0, KIB, 2)
    assert await first_byte(cloud, image_disk(image_id), tmp_path) == b"\1"
    copy = await volume_from(cloud, image_id)
    assert await first_byte(cloud, volume_disk(copy), tmp_path) == b"\1"
    assert await first_byte(cloud, volume_disk(root), tmp_path) == b"\2"
    assert (await cloud.one(schema.server, server_id)).status == "SHUTOFF"


async def test_a_grown_root_makes_a_larger_image(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    (root,) = await volumes_of(cloud, server_id)
    await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, root, 2))
    image_id = await an_image_of(cloud, server_id)
    row = await image_row(cloud, image_id)
    assert (row.size, row.virtual_size, row.min_disk) == (2 * GIB, 2 * GIB, 2)
    flavor_id = await a_flavor(cloud)  # of 1 GiB
    asked = Asked(name="small", flavor_id=flavor_id, image_id=image_id)
    with pytest.raises(Invalid, match="Flavor's disk is too small"):
        await cloud.db.write(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    assert (await cloud.one(schema.volume, await volume_from(cloud, image_id))).size == 2


async def test_its_bytes_are_written_for_whoever_wants_them(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however many ask at the same time; and whoever only asks how many there are does not wait. When it does not
    go well, who asks again may have more luck."""
    image_id = await an_image_of(cloud, await a_server(cloud))
    path = f"{IMAGES}/{image_id}"
    async with the_image_service(cloud) as speaking:
        told = await speaking.head(f"{path}/file")
        assert (told.status_code, told.headers["content-length"]) == (200, str(GIB))
        assert (await speaking.get(path)).json()["checksum"] is None
        async with an_engine(cloud):
            with monkeypatch.context() as patch:
                patch.setattr(cloud.world.pools["local"], "export", _fail)
                answer = await speaking.get(f"{path}/file")
            assert answer.status_code == 503
            assert "broken on purpose" in answer.text
            assert (await image_row(cloud, image_id)).status == "active"
            some = {"Range": f"bytes=0-{KIB - 1}"}
            answers = await asyncio.gather(*(speaking.get(f"{path}/file", headers=some) for _ in range(3)))
        assert [(answer.status_code, answer.content) for answer in answers] == [(206, FIRST)] * 3
        shown = (await speaking.get(path)).json()
        assert (shown["size"], shown["status"]) == (GIB, "active")
        again = await speaking.get(f"{path}/file", headers={"Range": f"bytes={MIB}-{MIB + 3}"})
        assert again.content == bytes(4)
    row = await image_row(cloud, image_id)
    digest = hashlib.md5(FIRST * KIB, usedforsecurity=False)
    for _ in range(GIB // MIB - 1):
        digest.update(bytes(MIB))
    assert row.checksum == shown["checksum"] == digest.hexdigest()
    file = cloud.settings.image_dir / row.file
    assert (file.stat().st_size, file.stat().st_blocks * 512 < 4 * MIB) == (GIB, True)
    states = sa.select(schema.operation.c.state).where(schema.operation.c.kind == "image_write")
    assert await cloud.db.read(lambda tx: sorted(tx.execute(states).scalars())) == ["done", "failed"]
    assert await cloud.db.write(lambda tx: image_write.start(tx, cloud.caller, image_id)) is None


async def _fail(*args: Any, **named: Any) -> None:
    raise Failed("broken on purpose")


async def test_it_is_used_in_another_pool(cloud: Stage, tmp_path: Path) -> None:
    image_id = await an_image_of(cloud, await a_server(cloud))
    volume_id = await volume_from(cloud, image_id, type=OTHER_POOL_TYPE)
    row = await cloud.one(schema.volume, volume_id)
    assert (row.status, row.pool, row.bootable) == ("available", OTHER_POOL, True)
    assert await first_byte(cloud, volume_disk(volume_id), tmp_path, pool=OTHER_POOL) == FIRST[:1]
    assert (await image_row(cloud, image_id)).checksum is not None
    # And its content replaces that of a volume there.
    other = await cloud.do(
        lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, Wanted(size=1, type=OTHER_POOL_TYPE))
    )
    await cloud.do(lambda tx: volume_reimage.start(tx, cloud.caller, other, image_id, reserved=False))
    assert await first_byte(cloud, volume_disk(other), tmp_path, pool=OTHER_POOL) == FIRST[:1]


async def test_what_cannot_come_from_its_pool_is_told_of(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = await an_image_of(cloud, await a_server(cloud))
    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools["local"], "export", _fail)
        volume_id = await volume_from(cloud, image_id, type=OTHER_POOL_TYPE)
    row = await cloud.one(schema.volume, volume_id)
    assert (row.status, row.reason) == (
        "error",
        f"The bytes of image {image_id} could not be brought from pool local.",
    )
    assert (await cloud.one(schema.volume, await volume_from(cloud, image_id))).status == "available"


async def test_its_layer_goes_with_it_while_the_server_runs(cloud: Stage) -> None:
    server_id = await a_server(cloud)
    (root,) = await volumes_of(cloud, server_id)
    before = await chain(cloud, volume_disk(root))
    for _ in range(2):
        image_id = await an_image_of(cloud, server_id)
        assert len(await chain(cloud, volume_disk(root))) == len(before) + 1
        await cloud.do(lambda tx, image_id=image_id: image_delete.start(tx, cloud.caller, image_id))
        assert len(await chain(cloud, volume_disk(root))) == len(before)


async def test_it_outlives_its_server(cloud: Stage, tmp_path: Path) -> None:
    server_id = await a_server(cloud)
    image_id = await an_image_of(cloud, server_id)
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    assert await first_byte(cloud, image_disk(image_id), tmp_path) == FIRST[:1]
    assert (await cloud.one(schema.server, await server_from(cloud, image_id))).status == "ACTIVE"


async def test_a_deletion_takes_a_file_that_is_being_written(cloud: Stage) -> None:
    image_id = await an_image_of(cloud, await a_server(cloud))
    files = set(cloud.settings.image_dir.iterdir())

    def both(tx: Tx) -> None:
        image_write.start(tx, cloud.caller, image_id)
        image_delete.start(tx, cloud.caller, image_id)

    await cloud.do(both)
    assert set(cloud.settings.image_dir.iterdir()) == files
    assert await cloud.db.write(lambda tx: image_write.start(tx, cloud.caller, image_id)) is None


# --- of a server that was booted from a volume ----------------------------------------------------


async def test_a_server_of_an_image_of_volumes(cloud: Stage, tmp_path: Path) -> None:
    server_id = await a_server_of_volumes(cloud)
    await cloud.do(lambda tx: server_stop.start(tx, cloud.caller, server_id))
    _, data = await volumes_of(cloud, server_id)
    pool = cloud.world.pools["local"]
    await write(pool, volume_disk(data), 0, KIB, 1)
    image_id = await an_image_of(cloud, server_id)
    await write(pool, volume_disk(data), 0, KIB, 2)
    row = await image_row(cloud, image_id)
    assert (row.status, row.size, row.file) == ("active", 0, None)
    taken = [await cloud.one(schema.snapshot, one) for one in image_mapping.snapshots_of(row)]
    assert [one.status for one in taken] == ["available", "available"]
    second = await server_from(cloud, image_id)
    shown = await cloud.one(schema.server, second)
    assert (shown.status, shown.image_id) == ("ACTIVE", None)
    await cloud.do(lambda tx: server_stop.start(tx, cloud.caller, second))
    copies = await volumes_of(cloud, second)
    rows = [await cloud.one(schema.volume, one) for one in copies]
    assert [row.snapshot_id for row in rows] == [one.id for one in taken]
    assert [row.consumes_quota for row in rows] == [True, True]
    assert await first_byte(cloud, volume_disk(copies[0]), tmp_path) == FIRST[:1]
    assert await first_byte(cloud, volume_disk(copies[1]), tmp_path) == b"\1"
    # As the first server's volumes: the one goes with the server, the other stays.
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, second))
    assert [(await cloud.one(schema.volume, one)).status for one in copies] == ["deleted", "available"]


async def test_its_deletion_says_which_snapshots_stay(cloud: Stage) -> None:
    image_id = await an_image_of(cloud, await a_server_of_volumes(cloud))
    first, second = image_mapping.snapshots_of(await image_row(cloud, image_id))
    await cloud.do(lambda tx: snapshot_delete.start(tx, cloud.caller, first))
    async with the_image_service(cloud) as speaking:
        answer = await speaking.delete(f"{IMAGES}/{image_id}")
    assert (answer.status_code, answer.headers["x-cyclades-snapshots-staying"]) == (204, second)
    assert f"Image {image_id} was deleted. The snapshots that it was made of stay: {second}." in await messages(cloud)
    await cloud.settle()
    assert (await cloud.one(schema.snapshot, second)).status == "available"
    plain = await cloud.add_image()
    async with the_image_service(cloud) as speaking:
        assert "x-cyclades-snapshots-staying" not in (await speaking.delete(f"{IMAGES}/{plain}")).headers
    await cloud.settle()


async def test_without_its_snapshots_no_server_is_made(cloud: Stage) -> None:
    image_id = await an_image_of(cloud, await a_server_of_volumes(cloud))
    first, _ = image_mapping.snapshots_of(await image_row(cloud, image_id))
    await cloud.do(lambda tx: snapshot_delete.start(tx, cloud.caller, first))
    asked = Asked(name="none", flavor_id=await a_flavor(cloud), image_id=image_id)
    with pytest.raises(Invalid, match=f"failed to get snapshot {first}"):
        await cloud.db.write(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))


async def test_a_volume_of_an_image_of_volumes_is_of_its_root(cloud: Stage, tmp_path: Path) -> None:
    image_id = await an_image_of(cloud, await a_server_of_volumes(cloud))
    first, _ = image_mapping.snapshots_of(await image_row(cloud, image_id))
    volume_id = await volume_from(cloud, image_id)
    row = await cloud.one(schema.volume, volume_id)
    assert (row.status, row.snapshot_id, row.bootable) == ("available", first, True)
    assert await first_byte(cloud, volume_disk(volume_id), tmp_path) == FIRST[:1]
    with pytest.raises(Invalid, match="has no bytes"):
        await cloud.db.write(lambda tx: volume_reimage.start(tx, cloud.caller, volume_id, image_id, reserved=False))
    async with the_image_service(cloud) as speaking:
        assert (await speaking.get(f"{IMAGES}/{image_id}/file")).status_code == 204


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("of_volumes", [False, True])
async def test_a_pool_that_fails_leaves_nothing(
    cloud: Stage, monkeypatch: pytest.MonkeyPatch, of_volumes: bool
) -> None:
    server_id = await (a_server_of_volumes(cloud) if of_volumes else a_server(cloud))
    before, pool, real = await used(cloud), cloud.world.pools["local"], cloud.world.pools["local"].snapshot
    last = (await volumes_of(cloud, server_id))[-1]

    async def fails_at_last(disk: str, *args: Any) -> None:
        await real(disk, *args)
        if disk == volume_disk(last):
            raise Failed("broken on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(pool, "snapshot", fails_at_last)
        image_id = await an_image_of(cloud, server_id)
    assert (await image_row(cloud, image_id)).status == "deleted"
    assert await used(cloud) == before
    assert "broken on purpose" in await messages(cloud)
    row = await cloud.one(schema.server, server_id)
    assert (row.status, row.task_state, row.reason) == ("ACTIVE", None, None)
    assert await cloud.differences() == []
    await an_image_of(cloud, server_id)


async def test_what_cannot_be_taken_back_can_be_deleted(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool neither goes on nor back."""
    for server_id in (await a_server(cloud), await a_server_of_volumes(cloud)):
        pool, real = cloud.world.pools["local"], cloud.world.pools["local"].snapshot

        async def fails(*args: Any, real: Any = real) -> None:
            await real(*args)
            raise Failed("broken on purpose")

        with monkeypatch.context() as patch:
            patch.setattr(pool, "snapshot", fails)
            patch.setattr(pool, "delete", _fail)
            image_id = await an_image_of(cloud, server_id)
        row = await image_row(cloud, image_id)
        assert row.status == ("pending_delete" if row.size else "deleted")
        for snapshot_id in image_mapping.snapshots_of(row):
            assert (await cloud.one(schema.snapshot, snapshot_id)).status == "error"
        assert await cloud.differences() == []


async def test_a_server_that_is_deleted_meanwhile_takes_it_along(cloud: Stage) -> None:
    server_id = await a_server_of_volumes(cloud)

    def both(tx: Tx) -> str:
        image_id = take_image(tx, cloud, server_id)
        server_delete.start(tx, cloud.caller, server_id)
        return image_id

    image_id = await cloud.do(both)
    assert (await image_row(cloud, image_id)).status == "deleted"
    assert (await cloud.one(schema.server, server_id)).status == "DELETED"
    assert (await used(cloud)).get(quota.SNAPSHOTS) is None


async def test_an_image_that_is_deleted_meanwhile_leaves_its_snapshots(cloud: Stage) -> None:
    """As one that is deleted later."""
    server_id = await a_server_of_volumes(cloud)

    def both(tx: Tx) -> str:
        image_id = take_image(tx, cloud, server_id)
        image_delete.start(tx, cloud.caller, image_id)
        return image_id

    image_id = await cloud.do(both)
    row = await image_row(cloud, image_id)
    assert row.status == "deleted"
    for snapshot_id in image_mapping.snapshots_of(row):
        assert (await cloud.one(schema.snapshot, snapshot_id)).status == "available"
        assert await cloud.world.pools["local"].find(snapshot_disk(snapshot_id)) is not None
