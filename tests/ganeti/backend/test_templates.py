"""Disks that Ganeti itself makes: what outlives its server is detached, kept in mind, attached again and deleted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from tests.backends.contract import disks_of
from tests.backends.ganeti.trail import KeptTrail
from tests.backends.ground import Ground
from tests.ganeti.cell import Cell
from tests.ganeti.node import Node
from tests.ganeti.place import name_of, node_of
from tests.ganeti.test_provider import image_on
from tests.provider.image_server import TOKEN

from cyclades.backends.base import ImageFill, Plug, ServerSpec
from cyclades.backends.ganeti import GanetiBackend
from cyclades.model.errors import Failed
from cyclades.model.names import volume_disk
from cyclades.model.units import MIB
from cyclades.pools.template import TemplatePool
from cyclades.store import backend_disks
from cyclades.store.database import Database

SHARED = "/srv/ganeti/shared-file-storage"


class Made:
    """Servers and volumes of one disk template."""

    def __init__(self, ground: Ground, database: Database, template: str) -> None:
        self.backend, self.size = ground.backend, ground.size
        self.database = database
        self.pool = TemplatePool(f"ganeti:{template}", template, database, {ground.backend.name: ground.backend})

    def plug(self, volume_id: str, index: int, generation: int = 1) -> Plug:
        return Plug(volume_id, volume_disk(volume_id), self.pool, index, generation, self.size)

    async def stopped(self, *volumes: str) -> ServerSpec:
        """A server that is off, with a root of its own and these volumes."""
        plugs = tuple(self.plug(volume_id, index) for index, volume_id in enumerate([str(uuid4()), *volumes]))
        spec = ServerSpec(str(uuid4()), "0" * 32, "one", vcpus=1, memory=96, plugs=plugs)
        await self.backend.start(spec)
        await self.backend.stop(spec.server_id, patience=0)
        return spec

    async def uuid(self, volume_id: str) -> str | None:
        """Ganeti's number of the volume's disk, as we know it."""
        row = await self.database.read(lambda tx: backend_disks.of_volume(tx, volume_id))
        return None if row is None else str(row.uuid)


@pytest.fixture
async def shared(no_guests: Ground, database: Database) -> AsyncIterator[Made]:
    made = Made(no_guests, database, "sharedfile")
    yield made
    for server in await made.backend.servers():
        await made.backend.delete(server.server_id)
    for row in await database.read(lambda tx: backend_disks.of_backend(tx, made.backend.name)):
        await made.backend.delete_disk(row.volume_id, row.uuid)


def files(cell: Cell) -> set[str]:
    """All files of shared disks."""
    return set(cell.run("find", SHARED, "-type", "f").split())


async def test_a_shared_disk_moves_between_servers_and_outlives_them(shared: Made, c1: Cell) -> None:
    volume_id = str(uuid4())
    first, second = await shared.stopped(), await shared.stopped()
    await shared.backend.plug(first.server_id, shared.plug(volume_id, 1))
    uuid = await shared.uuid(volume_id)
    (file,) = [path for path in files(c1) if name_of(first.server_id) in path and path.endswith("disk1")]
    c1.run("sh", "-euc", f"printf written | dd of={file} conv=notrunc status=none")

    await shared.backend.unplug(first.server_id, volume_id, 1, patience=0)
    assert (await shared.backend.look(first.server_id)).disks[0].volume_id == first.plugs[0].volume_id
    assert await shared.uuid(volume_id) == uuid
    await shared.backend.plug(second.server_id, shared.plug(volume_id, 1, 2))
    await shared.backend.plug(second.server_id, shared.plug(volume_id, 1, 2))
    assert await shared.uuid(volume_id) == uuid
    seen = {disk.volume_id: disk.generation for disk in (await shared.backend.look(second.server_id)).disks}
    assert seen == {second.plugs[0].volume_id: 1, volume_id: 2}

    await shared.backend.delete(second.server_id)
    for kept in (volume_id, second.plugs[0].volume_id):
        info = await shared.pool.find(volume_disk(kept))
        assert info is not None
        assert info.owner is None
    await shared.backend.plug(first.server_id, shared.plug(volume_id, 1, 3))
    (file,) = [path for path in files(c1) if name_of(first.server_id) in path and not path.endswith("disk0")]
    assert c1.run("head", "-c", "7", file) == "written"


async def test_a_detached_disk_is_deleted_and_nothing_is_left(shared: Made, c1: Cell) -> None:
    before = files(c1)
    spec = await shared.stopped()
    volume_id = spec.plugs[0].volume_id
    with pytest.raises(Failed):
        await shared.pool.delete(volume_disk(volume_id))  # its server has it
    await shared.backend.delete(spec.server_id)
    assert len(files(c1) - before) == 1
    await shared.pool.delete(volume_disk(volume_id))
    await shared.pool.delete(volume_disk(volume_id))
    assert files(c1) == before
    assert await shared.uuid(volume_id) is None
    assert "helper" not in c1.run("gnt-instance", "list", "--no-headers", "-o", "name")


async def test_a_deletion_that_broke_off_goes_on(shared: Made, c1: Cell) -> None:
    """The helper is there, with or without the disk; or the disk is gone, and our book does not know."""
    before = files(c1)
    assert isinstance(shared.backend, GanetiBackend)
    for broken_at in ("made", "attached", "removed"):
        spec = await shared.stopped()
        volume_id = spec.plugs[0].volume_id
        await shared.backend.delete(spec.server_id)
        uuid = await shared.uuid(volume_id)
        assert uuid is not None
        helper = f"snf-helper-{volume_id}.{shared.backend.options.domain}"
        add = ["gnt-instance", "add", "-t", "sharedfile", "--disk=0:size=4M", "-H", "fake", "-o", "blank", "--no-start"]
        add += ["--no-install", "--no-name-check", "--no-ip-check", "--no-nics", "-n", c1.master.name]
        await asyncio.to_thread(c1.run, *add, helper)
        if broken_at != "made":
            attach = ["gnt-instance", "modify", "--disk", f"1:attach,uuid={uuid}", helper]
            await asyncio.to_thread(c1.run, *attach)
        if broken_at == "removed":
            await asyncio.to_thread(c1.run, "gnt-instance", "remove", "-f", helper)
        assert await shared.backend.servers() == []
        await shared.backend.delete_disk(volume_id, uuid)
        assert files(c1) == before
        assert await shared.uuid(volume_id) is None
        assert "helper" not in c1.run("gnt-instance", "list", "--no-headers", "-o", "name")


async def test_a_disk_of_one_node_ends_with_its_server(no_guests: Ground, database: Database, c1: Cell) -> None:
    made = Made(no_guests, database, "file")
    volume_id = str(uuid4())
    spec = await made.stopped(volume_id)
    assert await no_guests.seen(spec.server_id) == ("stopped", disks_of(spec))
    node = await asyncio.to_thread(node_of, c1, spec.server_id)
    directory = f"/srv/ganeti/file-storage/{name_of(spec.server_id)}"
    assert len(node.run("ls", directory).split()) == 2
    await made.backend.unplug(spec.server_id, volume_id, 1, patience=0)
    assert len(node.run("ls", directory).split()) == 1
    assert await made.uuid(volume_id) is None
    await made.backend.delete(spec.server_id)
    assert node.run("find", directory, check=False) == ""
    assert await made.uuid(spec.plugs[0].volume_id) is None


async def test_a_server_grows_a_disk_that_ganeti_made(shared: Made, c1: Cell) -> None:
    spec = await shared.stopped()
    (root,) = spec.plugs
    await shared.backend.grown(spec.server_id, root.volume_id, 2 * shared.size)
    (disk,) = (await shared.backend.look(spec.server_id)).disks
    assert disk.size == 2 * shared.size
    info = await shared.pool.find(root.disk)
    assert info is not None
    assert info.size == 2 * shared.size


@contextmanager
def only(cell: Cell) -> Iterator[Node]:
    """The only node of the cell that takes servers: the master, which cannot be drained."""
    others = [node.name for node in cell.nodes if node is not cell.master]
    for name in others:
        cell.run("gnt-node", "modify", "--drained=yes", "--force", name)
    try:
        yield cell.master
    finally:
        for name in others:
            cell.run("gnt-node", "modify", "--drained=no", name)


async def test_the_root_is_filled_with_an_image_or_there_is_no_server(
    no_guests: Ground, database: Database, c1: Cell, tmp_path: Path
) -> None:
    made = Made(no_guests, database, "file")
    cell_os = Path(__file__).parents[3] / "ganeti" / "os" / "cyclades-image"
    c1.install(cell_os, "/srv/ganeti/os/cyclades-image")
    body = b"an image" + bytes(MIB) + b"its end"
    with only(c1) as node, image_on(node, body, tmp_path) as url:
        fill = ImageFill(url, TOKEN, hashlib.sha512(body).hexdigest(), "raw")
        root = made.plug(str(uuid4()), 0)
        spec = ServerSpec(str(uuid4()), "0" * 32, "one", vcpus=1, memory=96, plugs=(root,), fill=fill)
        trail = KeptTrail()
        with pytest.raises(Failed, match="sha512"):
            await made.backend.start(replace(spec, fill=replace(fill, sha512="0" * 128)), trail=trail)
        assert (await no_guests.seen(spec.server_id)) == ("missing", {})
        await made.backend.start(spec, trail=trail)
        await made.backend.start(spec, trail=trail)
        assert await no_guests.seen(spec.server_id) == ("running", disks_of(spec))
        (disk,) = (node.root / f"srv/ganeti/file-storage/{name_of(spec.server_id)}").iterdir()
        assert disk.read_bytes() == body.ljust(made.size, b"\0")
        assert TOKEN not in c1.run("gnt-instance", "info", "--static", name_of(spec.server_id))


async def test_what_a_node_cannot_make_leaves_nothing(no_guests: Ground, database: Database) -> None:
    """Without device-mapper there are no logical volumes; the request for them is as it should be, up to there."""
    made = Made(no_guests, database, "plain")
    volume_id = str(uuid4())
    spec = ServerSpec(str(uuid4()), "0" * 32, "one", vcpus=1, memory=96, plugs=(made.plug(volume_id, 0),))
    with pytest.raises(Failed, match="make the server"):
        await made.backend.start(spec, trail=KeptTrail())
    assert await no_guests.seen(spec.server_id) == ("missing", {})
    assert await made.uuid(volume_id) is None
