"""Our ExtStorage provider and OS definition under real Ganeti, installed by `cyclades node-files`; a pool in a
directory that the nodes share, and guests that write."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests import databases
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.console import Console
from tests.ganeti.guest import Kernel
from tests.ganeti.node import Node
from tests.ganeti.rapi import Rapi
from tests.pools.disk_io import content, write
from tests.processes import environment, wait_until
from tests.provider.image_server import TOKEN
from tests.provider.node import Running

from cyclades.model.names import volume_disk
from cyclades.model.units import KIB, MIB
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store.database import Database

_SETTINGS = "/etc/cyclades/node.json"
_TEXT = "written by the guest"


@pytest.fixture(scope="module")
def directory(cells: Cells) -> Iterator[Path]:
    path = cells.shared / "provider-pool"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _installed(cells: Cells, directory: Path) -> Iterator[None]:
    """On all nodes, by the command for it; other tests' settings are back afterwards."""
    before = {}
    for cell in cells.clusters:
        archive = cells.shared / "node-files.tar"
        program = Path(sys.executable).with_name("cyclades")
        words: list[str | Path] = [
            program,
            "node-files",
            cell.name,
            "--pool",
            f"local={directory}",
            "--output",
            archive,
        ]
        subprocess.run(words, env=environment(), check=True)
        for node in cell.nodes:
            before[node] = node.run("cat", _SETTINGS, check=False)
            node.run("tar", "-xf", archive, "-C", "/")
    yield
    for node, text in before.items():
        node.run("rm", _SETTINGS)
        if text:
            node.run("dd", f"of={_SETTINGS}", "status=none", typed=text)


@pytest.fixture
def pool(directory: Path, tmp_path: Path) -> Iterator[Qcow2Pool]:
    database = Database(databases.Sqlite(tmp_path).with_tables(tmp_path))
    yield Qcow2Pool("local", directory, database)
    database.close()


@dataclass
class Volume:
    """A volume of the pool that a server of a cluster may have, which is `in_guest` if a guest will run."""

    pool: Qcow2Pool
    id: str
    cell: Cell
    server: str
    generation: int
    in_guest: bool = False
    size: int = 16  # MiB

    @property
    def disk(self) -> str:
        return volume_disk(self.id)

    @property
    def owner(self) -> str:
        return f"{self.cell.name}/{self.server}"

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the disk in an instance."""
        found = {"provider": "cyclades", "name": self.disk, "size": self.size, "pool": "local", "volume": self.id}
        found |= {"owner": self.owner, "generation": str(self.generation)}
        return found | ({"access": "userspace"} if self.in_guest and is_old(self.cell) else {})

    async def release(self) -> None:
        await self.pool.release(self.disk, self.owner, self.generation)

    async def give_to(self, cell: Cell, server: str) -> Volume:
        await self.release()
        found = Volume(self.pool, self.id, cell, server, self.generation + 1, self.in_guest, self.size)
        await self.pool.claim(found.disk, found.owner, found.generation, card=True)
        return found


def is_old(cell: Cell) -> bool:
    """Ganeti 3.0 plugs nothing but userspace disks into a running guest; what it grows is not seen by the guest."""
    return "3.0" in cell.run("gnt-cluster", "--version")


async def volume(pool: Qcow2Pool, cell: Cell, server: str, *, in_guest: bool = False) -> Volume:
    made = Volume(pool, str(uuid4()), cell, server, 1, in_guest)
    await pool.create(made.disk, made.size * MIB)
    await pool.claim(made.disk, made.owner, 1, card=True)
    return made


class Instance:
    """A server as an instance."""

    def __init__(self, cell: Cell, rapi: Rapi) -> None:
        self.cell, self.rapi, self.server = cell, rapi, str(uuid4())
        self.name = f"snf-{self.server}.{cell.domain}"

    def create(self, root: Volume, **more: Any) -> None:
        self.rapi.create(self.name, "ext", disks=[root.parameters], pnode=self.cell.nodes[-1].name, **more)

    def power(self, verb: str, body: Any = None) -> None:
        self.rapi.job("PUT", f"/instances/{self.name}/{verb}", body)

    def modify(self, *change: Any, running: bool = False) -> None:
        """Change one disk."""
        said = self.rapi.job(
            "PUT", f"/instances/{self.name}/modify", {"disks": [list(change)], **({"hotplug": True} if running else {})}
        )
        assert "failed" not in str(said)

    async def grow(self, index: int, size: int) -> None:
        """To this many MiB, by a job."""
        body = {"amount": size, "absolute": True}
        path = f"/instances/{self.name}/disk/{index}/grow"
        await asyncio.to_thread(self.rapi.job, "POST", path, body)

    def refused(self, *words: str) -> str:
        """What Ganeti says to a command about this instance, which fails."""
        done = subprocess.run(self.cell.master.command(*words, self.name), capture_output=True, text=True, check=False)
        assert done.returncode != 0
        return done.stdout + done.stderr

    @property
    def node(self) -> Node:
        return self.cell.node_of(self.name)

    def delete(self) -> None:
        self.cell.run("gnt-instance", "remove", "--force", "--shutdown-timeout=0", self.name)


New = Callable[[Cell, Rapi], Instance]


@pytest.fixture
def new() -> Iterator[New]:
    """Makes instances that are gone afterwards."""
    made = []

    def one(cell: Cell, rapi: Rapi) -> Instance:
        made.append(Instance(cell, rapi))
        return made[-1]

    yield one
    for instance in made:
        if instance.name in instance.cell.run("gnt-instance", "list", "--no-headers", "-o", "name"):
            instance.delete()


@contextmanager
def guest(instance: Instance) -> Iterator[Console]:
    """The small guest in a started instance."""
    console = instance.node.console(instance.name)
    try:
        console.until_up()
        yield console
    finally:
        console.close()


def devices(console: Console) -> dict[str, int]:
    """Name and bytes of each disk that the guest sees."""
    seen = [word.split(":") for word in console.ask("disks").split()]
    return {name: int(size) for name, _, size in seen}


def served(node: Node) -> set[str]:
    """The disks that are on a node."""
    return set(node.run("ls", "/run/cyclades", check=False).split())


def typed(disk: Volume) -> str:
    """A disk as an operator types it."""
    return ",".join(f"{name}={value}" for name, value in disk.parameters.items())


async def test_a_volume_goes_from_guest_to_guest(
    pool: Qcow2Pool, new: New, c1: Cell, c2: Cell, rapi1: Rapi, rapi2: Rapi, guest_kernel: Kernel
) -> None:
    """Plugged into a running guest, written, grown, unplugged; plugged into a guest in the other cluster, and read."""
    first, second = new(c1, rapi1), new(c2, rapi2)
    roots = [await volume(pool, one.cell, one.server, in_guest=True) for one in (first, second)]
    data = await volume(pool, c1, first.server, in_guest=True)
    for one, root in zip((first, second), roots, strict=True):
        one.create(root, hypervisor="kvm", hvparams=guest_kernel.hvparams)
        one.power("startup")
    with guest(first) as console:
        first.modify("add", -1, data.parameters, running=True)
        wait_until("the guest sees the volume", lambda: len(devices(console)) == 2 or None)
        console.ask(f"write vdb {_TEXT}")

        async def job(size: int) -> None:
            await first.grow(1, size)

        await pool.extend(data.disk, 32 * MIB, Running(job).find)
        data.size = 32
        if not is_old(c1):
            wait_until("the guest sees the new size", lambda: devices(console)["vdb"] == 32 * MIB or None)
        assert console.ask("read vdb") == _TEXT
        first.modify("remove", 1, {}, running=True)
    assert data.disk not in served(first.node)
    data = await data.give_to(c2, second.server)
    with guest(second) as console:
        second.modify("add", -1, data.parameters, running=True)
        wait_until("the guest sees the volume", lambda: devices(console).get("vdb") == 32 * MIB or None)
        assert console.ask("read vdb") == _TEXT
    for one in (first, second):
        one.delete()
    mine = {disk.disk for disk in (*roots, data)}
    assert not any(mine & served(node) for node in (*c1.nodes, *c2.nodes))
    for disk in (*roots, data):
        await disk.release()
        await pool.delete(disk.disk)
    assert await pool.disks() == []


async def test_who_does_not_own_it_fails_to_get_it(pool: Qcow2Pool, new: New, c1: Cell, rapi1: Rapi) -> None:
    """The old instance, started behind our back, and one that has the same disk typed by hand."""
    old, owner, other = (new(c1, rapi1) for _ in range(3))
    disk = await volume(pool, c1, old.server)
    old.create(disk)
    old.power("startup")
    old.power("shutdown", {"timeout": 0})
    disk = await disk.give_to(c1, owner.server)
    owner.create(disk)
    owner.power("startup")
    said = old.refused("gnt-instance", "startup")
    assert f"belongs to c1/{owner.server}, not to c1/{old.server}" in said
    others = await volume(pool, c1, other.server)
    other.create(others)
    assert "is bound to Ganeti's disk" in other.refused("gnt-instance", "modify", "--disk", f"add:{typed(disk)}")
    old.delete()  # and takes nothing away from the owner
    other.delete()
    assert disk.disk in served(owner.node)
    owner.delete()
    for each in (disk, others):
        await each.release()


async def test_ganeti_wipes_nothing(pool: Qcow2Pool, new: New, c1: Cell, rapi1: Rapi, tmp_path: Path) -> None:
    """Not when it makes an instance or adds a disk, nor when disks are made anew or a server is installed again."""
    one, other = new(c1, rapi1), new(c1, rapi1)
    disks = [await volume(pool, c1, server) for server in (one.server, one.server, other.server)]
    root, data, others = disks
    for number, disk in enumerate(disks, 1):
        await write(pool, disk.disk, 0, 64 * KIB, number)
        await write(pool, disk.disk, 15 * MIB, 64 * KIB, number)
    before = [await content(pool, disk.disk, tmp_path) for disk in disks]
    one.create(root, os_type="cyclades-image")
    c1.run("gnt-cluster", "modify", "--prealloc-wipe-disks=yes")
    try:
        assert "wipe" in one.refused("gnt-instance", "recreate-disks").lower()
        assert "wipe" in one.refused("gnt-instance", "modify", "--disk", f"add:{typed(data)}").lower()
        where = ["-t", "ext", "-n", c1.nodes[-1].name, "-o", "blank", "-H", "fake", "--no-name-check", "--no-ip-check"]
        add = ["gnt-instance", "add", *where, "--no-install", "--no-start", "--disk", f"0:{typed(others)}"]
        assert "wipe" in other.refused(*add).lower()
    finally:
        c1.run("gnt-cluster", "modify", "--prealloc-wipe-disks=no")
    c1.run("gnt-instance", "recreate-disks", one.name)
    c1.run("gnt-instance", "reinstall", "--force", one.name)
    one.power("startup")
    one.delete()
    assert [await content(pool, disk.disk, tmp_path) for disk in disks] == before
    for disk in disks:
        await disk.release()


async def test_a_server_moves_to_another_node(
    pool: Qcow2Pool, new: New, c1: Cell, rapi1: Rapi, guest_kernel: Kernel
) -> None:
    one = new(c1, rapi1)
    root = await volume(pool, c1, one.server, in_guest=True)
    one.create(root, hypervisor="kvm", hvparams=guest_kernel.hvparams)
    one.power("startup")
    first = one.node
    with guest(one) as console:
        console.ask(f"write vda {_TEXT}")
        assert "still open on another node" in one.refused("gnt-instance", "migrate", "--force")
        assert console.ask("read vda") == _TEXT
    c1.run("gnt-instance", "failover", "--force", "--shutdown-timeout=0", one.name)
    assert one.node != first
    assert root.disk not in served(first)
    assert root.disk in served(one.node)
    with guest(one) as console:
        assert console.ask("read vda") == _TEXT
    one.delete()
    await root.release()


async def test_what_an_operator_looks_at_stays_attached_until_it_is_let_go_of(
    pool: Qcow2Pool, new: New, c1: Cell, rapi1: Rapi
) -> None:
    one = new(c1, rapi1)
    root = await volume(pool, c1, one.server)
    one.create(root)
    one.power("startup")
    one.power("shutdown", {"timeout": 0})
    assert root.disk not in served(one.node)
    c1.run("gnt-instance", "info", one.name)
    assert root.disk in served(one.node)
    one.power("deactivate-disks")
    assert root.disk not in served(one.node)
    one.delete()
    await root.release()


@contextmanager
def image_on(node: Node, body: bytes, directory: Path) -> Iterator[str]:
    """Serve an image on the node's own loopback; its address."""
    file = directory / "image"
    file.write_bytes(body)
    words: list[str | Path] = [
        "nsenter",
        f"--target={node.pid}",
        "--net",
        sys.executable,
        "-m",
        "tests.provider.image_server",
        file,
    ]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_ganeti_fills_a_root_disk_with_an_image(new: New, c1: Cell, rapi1: Rapi, tmp_path: Path) -> None:
    one, node = new(c1, rapi1), c1.nodes[-1]
    body = os.urandom(MIB) + bytes(2 * MIB) + b"the end"
    with image_on(node, body, tmp_path) as url:
        parameters = {"url": url, "sha512": hashlib.sha512(body).hexdigest(), "format": "raw"}
        made: dict[str, Any] = {
            "os_type": "cyclades-image",
            "no_install": False,
            "osparams": parameters,
            "pnode": node.name,
        }
        rapi1.create(one.name, "file", 8, **made, osparams_secret={"token": TOKEN})
        file = node.root / f"srv/ganeti/file-storage/{one.name}"
        ((disk,),) = [list(file.iterdir())]
        assert disk.read_bytes() == body.ljust(8 * MIB, b"\0")
        assert TOKEN not in c1.run("gnt-instance", "info", "--static", one.name)
        assert "not reinstalled by Ganeti" in one.refused("gnt-instance", "reinstall", "--force")
        assert disk.read_bytes() == body.ljust(8 * MIB, b"\0")
        one.delete()
        wrong = made | {"osparams": parameters | {"sha512": "0" * 128}}
        with pytest.raises(AssertionError, match="sha512 is not the one"):
            rapi1.create(one.name, "file", 8, **wrong, osparams_secret={"token": TOKEN})
