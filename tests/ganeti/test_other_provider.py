"""Volumes that another ExtStorage provider than ours keeps, one with Archipelago's contract (`filevol/`). The nodes
have it twice: by one name it declares what it can, by the other nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.crash.scenarios_servers import a_flavor
from tests.crash.stage import Stage
from tests.ganeti import loops
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.stage import LABEL, GanetiStage, ganeti_stage

from cyclades.config import ProviderSettings
from cyclades.model.errors import Invalid, Refusal
from cyclades.model.names import image_disk, volume_disk
from cyclades.model.units import GIB, MIB
from cyclades.operations import (
    server_create,
    server_stop,
    volume_attach,
    volume_create,
    volume_create_attached,
    volume_delete,
    volume_detach,
    volume_extend,
)
from cyclades.operations.block_device import Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store import schema
from cyclades.store.database import Database

PROVIDER = Path(__file__).parent / "filevol"
ABLE, PLAIN = "filevol", "localvol"  # the one declares all, the other nothing
DECLARED = (ProviderSettings(ABLE, fills=True, detaches=True), ProviderSettings(PLAIN))


@pytest.fixture
def store(cells: Cells) -> Iterator[Path]:
    """Where the provider keeps its volumes, and what they are made of."""
    store = cells.shared / "filevol"
    for name in ("volumes", "origins"):
        (store / name).mkdir(parents=True, exist_ok=True)
    for cell in cells.clusters:
        for name in (ABLE, PLAIN):
            cell.install(PROVIDER, f"/srv/ganeti/extstorage/{name}")
            for node in cell.nodes:
                (node.root / f"srv/ganeti/extstorage/{name}/store").write_text(str(store))
    yield store
    loops.free(store)


@pytest.fixture
async def cloud(
    database: Database, tmp_path: Path, cells: Cells, store: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[GanetiStage]:
    monkeypatch.setattr(server_create, "_require_bootable", lambda _: None)  # nobody boots an empty root
    async with ganeti_stage(database, tmp_path / "cloud", cells, providers=DECLARED) as stage:
        yield stage


def is_old(cell: Cell) -> bool:
    """Ganeti 3.0 attaches no disk of a provider again, so that none may be detached."""
    return cell.plan.version == "3.0"


async def a_volume(cloud: Stage, provider: str) -> str:
    wanted = Wanted(size=1, type=provider)
    return str(await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, wanted)))


async def a_server(cloud: Stage, provider: str, image_id: str | None = None) -> str:
    """On c1, switched off: a machine that `fake` runs takes no disks."""
    new = Wanted(size=1, type=provider, source="blank" if image_id is None else "image", source_id=image_id)
    asked = Asked(
        name="one",
        flavor_id=await a_flavor(cloud),
        disks=(Disk(new=new, boot_index=0, delete_on_termination=True),),
        host="c1",
    )
    server_id = str(await cloud.do(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked)))
    row = await cloud.one(schema.server, server_id)
    assert row.status == "ACTIVE", row.reason
    await cloud.do(lambda tx: server_stop.start(tx, cloud.caller, server_id))
    return server_id


async def require_status(cloud: Stage, volume_id: str, status: str) -> None:
    row = await cloud.one(schema.volume, volume_id)
    assert row.status == status, row.reason


async def root_of(cloud: Stage, server_id: str) -> str:
    (disk,) = (await cloud.world.backends["c1"].look(server_id)).disks
    return disk.volume_id


async def test_a_root_is_made_of_an_origin(cloud: GanetiStage, c1: Cell, store: Path) -> None:
    if is_old(c1):
        pytest.skip("a provider that detaches needs Ganeti 3.1")
    image_id = await cloud.add_image()
    content = (cloud.settings.image_dir / image_id).read_bytes()
    (store / "origins" / image_disk(image_id)).write_bytes(content + b"what comes after it")
    server_id = await a_server(cloud, ABLE, image_id)
    disk = store / "volumes" / volume_disk(await root_of(cloud, server_id))
    assert disk.stat().st_size == GIB
    with disk.open("rb") as file:
        assert file.read(2 * MIB) == content.ljust(2 * MIB, b"\0")
    assert disk.with_name(f"{disk.name}.label").read_text() == f"{LABEL}\n"
    await cloud.clear()
    assert list((store / "volumes").iterdir()) == []


async def test_a_volume_moves_as_its_provider_declares(cloud: GanetiStage, c1: Cell, store: Path) -> None:
    if is_old(c1):
        pytest.skip("a provider that detaches needs Ganeti 3.1")
    first, second = await a_server(cloud, ABLE), await a_server(cloud, ABLE)
    volume_id = await a_volume(cloud, ABLE)
    disk = store / "volumes" / volume_disk(volume_id)
    assert not disk.exists()  # its first server makes it
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, first, volume_id))
    await require_status(cloud, volume_id, "in-use")
    with disk.open("r+b") as file:
        file.write(b"written")
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, first, volume_id))
    await require_status(cloud, volume_id, "available")
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, second, volume_id))
    await require_status(cloud, volume_id, "in-use")
    with disk.open("rb") as file:
        assert file.read(8) == b"written\0"
    await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2))
    assert disk.stat().st_size == 2 * GIB
    assert await cloud.differences() == []
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, second, volume_id))
    await cloud.do(lambda tx: volume_delete.start(tx, cloud.caller, volume_id))
    assert not disk.exists()
    await cloud.clear()
    assert list((store / "volumes").iterdir()) == []


async def test_what_is_not_declared_is_refused_by_its_rule(cloud: GanetiStage, store: Path) -> None:
    with pytest.raises(Invalid) as refused:
        await a_volume(cloud, PLAIN)
    assert refused.value.rule == "server-required"
    image_id = await cloud.add_image()
    with pytest.raises(Invalid) as refused:
        await a_server(cloud, PLAIN, image_id)
    assert refused.value.rule == "template-root-only"
    server_id = await a_server(cloud, PLAIN)
    wanted = Wanted(size=1, type=PLAIN)
    volume_id = await cloud.do(
        lambda tx: volume_create_attached.start(tx, cloud.caller, cloud.settings, wanted, server_id)
    )
    await require_status(cloud, volume_id, "in-use")
    disk = store / "volumes" / volume_disk(volume_id)
    assert disk.stat().st_size == GIB
    with pytest.raises(Refusal) as kept:
        await cloud.db.write(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
    assert kept.value.rule == "detach-server-bound"
    await cloud.do(lambda tx: volume_delete.start(tx, cloud.caller, volume_id))
    assert not disk.exists()
    await cloud.clear()
    assert list((store / "volumes").iterdir()) == []
