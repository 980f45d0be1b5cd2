"""`plain` and `drbd`, as far as they can be had without device-mapper: Ganeti finds nothing wrong with what we ask for,
and the node's LVM is the first to fail; then all is as before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.crash.scenarios_servers import a_flavor
from tests.ganeti import configuration, place
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.rapi import Rapi
from tests.ganeti.stage import GanetiStage, ganeti_stage

from cyclades.backends.base import Plug, ServerSpec
from cyclades.backends.ganeti import GanetiOptions, create, version
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations import server_create
from cyclades.operations.block_device import Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store import schema
from cyclades.store.database import Database

DRBD = "drbd"


@pytest.fixture(autouse=True)
def with_drbd(c1: Cell) -> Iterator[None]:
    """Ganeti's commands would ask for the kernel's module first."""
    before = configuration.read(c1)["cluster"]
    with configuration.changing(c1) as config:
        cluster = config["cluster"]
        cluster["enabled_disk_templates"] = [*before["enabled_disk_templates"], DRBD]
        cluster["ipolicy"]["disk-templates"] = [*before["ipolicy"]["disk-templates"], DRBD]
        cluster["drbd_usermode_helper"] = "/bin/true"
    yield
    with configuration.changing(c1) as config:
        config["cluster"] |= {name: before[name] for name in ("enabled_disk_templates", "ipolicy")}
        config["cluster"]["drbd_usermode_helper"] = before.get("drbd_usermode_helper")


@pytest.fixture
async def cloud(
    database: Database, tmp_path: Path, cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[GanetiStage]:
    monkeypatch.setattr(server_create, "_require_bootable", lambda _: None)  # nobody boots an empty root
    async with ganeti_stage(database, tmp_path / "cloud", cells) as stage:
        yield stage


@pytest.mark.parametrize("template", ["plain", DRBD])
async def test_the_request_is_right(cloud: GanetiStage, c1: Cell, rapi1: Rapi, template: str) -> None:
    """Ganeti checks it to the end (space on the nodes, a second one for a mirror) before it would make anything."""
    pool = cloud.world.pools[f"ganeti:{template}"]
    plugs = [
        Plug(volume_id, volume_disk(volume_id), pool, index, 1, GIB)
        for index, volume_id in enumerate([str(uuid4()), str(uuid4())])
    ]
    spec = ServerSpec(str(uuid4()), "0" * 32, "one", vcpus=1, memory=64, plugs=tuple(plugs))
    options = GanetiOptions(domain=place.DOMAIN, os=place.OS, hypervisor="fake")
    nodes = dict(zip(("pnode", "snode"), (node.name for node in c1.nodes), strict=True))
    where = nodes if template == DRBD else {"pnode": nodes["pnode"]}
    spoken = version.of(rapi1.ask("GET", "/info"), options.hypervisor)
    ask = create.server("c1", place.name_of(spec.server_id), spec, options, spoken, where)
    rapi1.job(ask.method, ask.path.removeprefix("/2"), ask.body, **{"dry-run": "1"})
    assert await cloud.world.backends["c1"].servers() == []


@pytest.mark.parametrize("template", ["plain", DRBD])
async def test_what_lvm_cannot_make_leaves_nothing(cloud: GanetiStage, c1: Cell, rapi1: Rapi, template: str) -> None:
    before = {node: node.run("lvs", "--noheadings") for node in c1.nodes}
    wanted = Wanted(size=1, type=template)
    disks = (Disk(new=wanted, boot_index=0, delete_on_termination=True), Disk(new=wanted, delete_on_termination=True))
    asked = Asked(name="one", flavor_id=await a_flavor(cloud), disks=disks, host="c1")
    server_id = await cloud.do(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    row = await cloud.one(schema.server, server_id)
    assert row.status == "ERROR"
    assert "Ganeti could not make the server" in row.reason
    job = _creation(rapi1, server_id)
    (op,) = job["ops"]
    assert (op["disk_template"], [disk["size"] for disk in op["disks"]]) == (template, [1024, 1024])
    assert bool(op.get("snode")) == (template == DRBD)
    ((kind, said),) = job["opresult"]
    assert kind == "OpExecError", said  # what is to be checked before, it was content with
    assert "LV create failed" in str(said), said
    assert await cloud.differences() == []
    await cloud.clear()
    assert {node: node.run("lvs", "--noheadings") for node in c1.nodes} == before


def _creation(rapi: Rapi, server_id: str) -> Any:
    """The job that was to make the server."""
    name = place.name_of(server_id)
    ours = [job for job in rapi.ask("GET", "/jobs", bulk="1") if job["ops"][0].get("instance_name") == name]
    (made,) = [job["id"] for job in ours if job["ops"][0]["OP_ID"] == "OP_INSTANCE_CREATE"]
    return rapi.ask("GET", f"/jobs/{made}")
