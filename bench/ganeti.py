"""Servers and volumes on a real Ganeti cluster: what Cyclades adds to what Ganeti takes.

It starts a cluster as the tests do (docs/testing-ganeti.md), or takes one that runs (CYCLADES_CELLS=NAME), and a cloud
on it. No guest runs: servers are off, which leaves Ganeti's jobs as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from tests.ganeti import place
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.plan import VERSIONS

from bench import ganeti_jobs, ganeti_reconcile
from bench.cloud import Cloud
from bench.endpoint import Broken, Endpoint, Service
from bench.figures import Report
from bench.options import Options
from bench.wire import Wire
from cyclades.model.errors import Fault

POOL = "bench"
_SERVERS = 10  # Ganeti works on one job of an instance at a time
_PROGRAM = Path(sys.executable).parent / "cyclades"
_SELDOM = "3600"  # seconds between two looks that nobody asked for


@dataclass(frozen=True)
class _Place:
    """`pool` is the directory of a cloud's disks, `settings` are the variables that it was started with."""

    cell: Cell
    pool: Path
    cloud: Cloud
    settings: dict[str, str]


@dataclass(frozen=True)
class Ground:
    """A cloud on the cluster `cell`, which it reaches by `wire`. Its servers are off."""

    cell: Cell
    wire: Wire
    cloud: Cloud
    endpoint: Endpoint
    pool: Path
    servers: tuple[str, ...]

    @property
    def compute(self) -> Service:
        assert self.endpoint.compute is not None
        return self.endpoint.compute


def measure(options: Options, report: Report, directory: Path) -> None:
    with _cells() as cells:
        cell = cells.clusters[0]
        pool = place.clear(cells.shared / POOL)
        place.install(cell, {POOL: pool}, directory)
        settings = {
            "CYCLADES_POOLS": json.dumps([{"name": POOL, "directory": str(pool)}]),
            "CYCLADES_BACKENDS": "[]",
            "CYCLADES_ENGINE_RECONCILE_SECONDS": "0",
            "CYCLADES_COMPUTE_STOP_SECONDS": "0",
        }
        report.note(f"Ganeti {cell.plan.version}; no guest ran there.")
        with Cloud(directory / "ganeti", settings) as cloud:
            uvloop.run(_measure(options, report, _Place(cell, pool, cloud, settings)))


async def _measure(options: Options, report: Report, found: _Place) -> None:
    try:
        async with _ground(found) as ground:
            await ganeti_jobs.one_by_one(options, report, ground)
            await ganeti_jobs.at_once(options, report, ground)
            await ganeti_reconcile.measure(options, report, ground)
    except Fault as fault:
        raise Broken(str(fault)) from fault


@contextlib.contextmanager
def _cells() -> Iterator[Cells]:
    if by_hand := os.environ.get("CYCLADES_CELLS"):
        yield Cells.running(by_hand)
        return
    if os.geteuid() != 0:
        raise Broken("clusters of Ganeti need root, for namespaces and mounts")
    cells = Cells(f"bench-{os.getpid()}")
    cells.up([1], version=os.environ.get("GANETI", VERSIONS[-1]))
    try:
        yield cells
    finally:
        cells.down()


@contextlib.asynccontextmanager
async def _ground(found: _Place) -> AsyncIterator[Ground]:
    async with Wire(found.cell.plan.port).open() as wire:
        await _add(found, wire)
        endpoint = await found.cloud.endpoint()
        servers = tuple([await _server(endpoint, number) for number in range(_SERVERS)])
        yield Ground(found.cell, wire, found.cloud, endpoint, found.pool, servers)
        await _delete(endpoint, servers)


async def _add(found: _Place, wire: Wire) -> None:
    """The cluster becomes the cloud's backend, of its own name."""
    cell, cloud = found.cell, found.cloud
    password = cloud.directory.with_suffix(".password")
    password.write_text(cell.password)
    words = ["backend-add", cell.name, "--yes", "--data", cloud.directory, "--url", wire.url, "--user", cell.user]
    words += ["--password-file", password, "--certificate", cell.certificate, "--pool", POOL]
    words += ["--domain", place.DOMAIN, "--os", place.OS, "--hypervisor", "fake", "--look-seconds", _SELDOM]
    adding = await asyncio.create_subprocess_exec(
        _PROGRAM, *map(str, words), env=os.environ | found.settings, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await adding.communicate()
    if adding.returncode:
        raise Broken(f"The cluster could not be added:\n{said.decode()}")


async def _server(endpoint: Endpoint, number: int) -> str:
    """The id of one that is off, with an empty root disk."""
    compute = endpoint.compute
    assert compute is not None
    root = await endpoint.make("volume", {"size": 1, "name": f"bench-root-{number}"})
    await endpoint.volume.until(f"/volumes/{root}", "volume", "available")
    await endpoint.volume.ask("POST", f"/volumes/{root}/action", {"os-set_bootable": {"bootable": True}})
    flavors = (await compute.ask("GET", "/flavors/detail"))["flavors"]
    flavor = min(flavors, key=lambda each: int(each["ram"]))
    disk = {"source_type": "volume", "destination_type": "volume", "uuid": root, "boot_index": 0}
    wanted: dict[str, Any] = {"name": f"bench-{number}", "flavorRef": flavor["id"], "networks": "none"}
    wanted |= {"block_device_mapping_v2": [disk | {"delete_on_termination": True}]}
    server_id = str((await compute.ask("POST", "/servers", {"server": wanted}))["server"]["id"])
    endpoint.made.pop(f"/volumes/{root}")  # it ends with its server
    await compute.until(f"/servers/{server_id}", "server", "ACTIVE")
    await compute.ask("POST", f"/servers/{server_id}/action", {"os-stop": None})
    await compute.until(f"/servers/{server_id}", "server", "SHUTOFF")
    return server_id


async def _delete(endpoint: Endpoint, servers: tuple[str, ...]) -> None:
    assert endpoint.compute is not None
    for server_id in servers:
        await endpoint.compute.ask("DELETE", f"/servers/{server_id}")
    for server_id in servers:
        await endpoint.compute.until_gone(f"/servers/{server_id}")
    await endpoint.clean()
