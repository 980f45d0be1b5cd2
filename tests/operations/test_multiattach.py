"""One volume in two servers at a time. No pool kind of today offers it on this machine alone, so here the default one
lets several claim a disk: that is the only thing that is not real. No machine runs, since QEMU's lock on a qcow2 keeps
a second one out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.crash.scenarios_servers import a_blank_volume, a_stopped_server
from tests.crash.stage import OTHER_POOL_TYPE, Stage, stage

from cyclades.model import capabilities
from cyclades.model.errors import Invalid, WrongState
from cyclades.model.names import volume_disk
from cyclades.operations import server_delete, volume_attach, volume_delete, volume_detach, volume_retype
from cyclades.store import attachments, layers, schema, volumes
from cyclades.store.database import Database


@pytest.fixture
async def cloud(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    able = replace(capabilities._OF_POOL["qcow2"], multiattach=True)
    monkeypatch.setitem(capabilities._OF_POOL, "qcow2", able)
    async with stage(database, tmp_path / "cloud") as found:
        _let_several_claim(found, monkeypatch)
        yield found
        assert await found.differences() == []
        await found.clear()


def _let_several_claim(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk belongs to whoever has claimed it; the books show one of them."""
    owners: dict[str, dict[str, int]] = {}

    async def show(disk: str) -> None:
        owner, generation = next(iter(owners[disk].items()), (None, 0))
        await cloud.db.write(lambda tx: layers.change_disk(tx, "local", disk, owner=owner, generation=generation))

    async def claim(disk: str, owner: str, generation: int, *, card: bool = False, shared: bool = False) -> None:
        owners.setdefault(disk, {})[owner] = generation
        await show(disk)

    async def release(disk: str, owner: str, generation: int) -> None:
        if owners.get(disk, {}).get(owner, generation + 1) <= generation:
            del owners[disk][owner]
            await show(disk)

    monkeypatch.setattr(cloud.world.pools["local"], "claim", claim)
    monkeypatch.setattr(cloud.world.pools["local"], "release", release)


async def shared(cloud: Stage) -> str:
    volume_id = await a_blank_volume(cloud)
    await cloud.db.write(lambda tx: volumes.change(tx, volume_id, multiattach=True))
    return volume_id


async def attach(cloud: Stage, server_id: str, volume_id: str, **values: Any) -> None:
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id, **values))


async def detach(cloud: Stage, server_id: str, volume_id: str) -> None:
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))


async def status(cloud: Stage, volume_id: str) -> str:
    return str((await cloud.one(schema.volume, volume_id)).status)


async def test_in_use_until_the_last_one_lets_go(cloud: Stage) -> None:
    first, second, volume_id = await a_stopped_server(cloud), await a_stopped_server(cloud), await shared(cloud)
    await attach(cloud, first, volume_id)
    await attach(cloud, second, volume_id, mode="ro")
    assert await status(cloud, volume_id) == "in-use"
    with pytest.raises(WrongState, match="is attached to server"):
        await attach(cloud, first, volume_id)
    plugs = await cloud.db.read(lambda tx: attachments.of_volume(tx, volume_id))
    assert [(one.server_id, one.status, one.mode) for one in plugs] == [
        (first, "attached", "rw"),
        (second, "attached", "ro"),
    ]
    assert plugs[0].generation < plugs[1].generation
    for server_id in (first, second):
        seen = await cloud.world.backends["local"].look(server_id)
        assert [disk.read_only for disk in seen.disks if disk.volume_id == volume_id] == [server_id == second]
    with pytest.raises(WrongState):
        await cloud.db.write(lambda tx: volume_delete.start(tx, cloud.caller, volume_id))
    assert await cloud.differences() == []
    await detach(cloud, first, volume_id)
    assert await status(cloud, volume_id) == "in-use"
    await attach(cloud, first, volume_id)
    await detach(cloud, second, volume_id)
    assert await status(cloud, volume_id) == "in-use"
    await detach(cloud, first, volume_id)
    assert await status(cloud, volume_id) == "available"


async def test_it_goes_with_the_last_of_its_servers(cloud: Stage) -> None:
    """Each was told to take it along; what another one has stays."""
    first, second, volume_id = await a_stopped_server(cloud), await a_stopped_server(cloud), await shared(cloud)
    for server_id in (first, second):
        await attach(cloud, server_id, volume_id, delete_on_termination=True)
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, first))
    assert await status(cloud, volume_id) == "in-use"
    assert await cloud.differences() == []
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, second))
    assert await status(cloud, volume_id) == "deleted"
    assert await cloud.world.pools["local"].find(volume_disk(volume_id)) is None


async def test_both_deleted_at_once(cloud: Stage) -> None:
    first, second, volume_id = await a_stopped_server(cloud), await a_stopped_server(cloud), await shared(cloud)
    for server_id in (first, second):
        await attach(cloud, server_id, volume_id, delete_on_termination=True)

    def both(tx: Any) -> None:
        for server_id in (first, second):
            server_delete.start(tx, cloud.caller, server_id)

    await cloud.do(both)
    assert await status(cloud, volume_id) == "deleted"


async def test_it_stays_in_its_pool_while_two_have_it(cloud: Stage) -> None:
    first, second, volume_id = await a_stopped_server(cloud), await a_stopped_server(cloud), await shared(cloud)
    for server_id in (first, second):
        await attach(cloud, server_id, volume_id)
    await cloud.db.write(lambda tx: volumes.change(tx, volume_id, multiattach=False))  # else its type is in the way
    with pytest.raises(WrongState) as refused:
        await cloud.db.write(
            lambda tx: volume_retype.start(tx, cloud.caller, cloud.settings, volume_id, OTHER_POOL_TYPE, may_move=True)
        )
    assert refused.value.rule == "retype-in-use-elsewhere"
    await cloud.db.write(lambda tx: volumes.change(tx, volume_id, multiattach=True))
    with pytest.raises(Invalid) as refused_type:
        await cloud.db.write(
            lambda tx: volume_retype.start(tx, cloud.caller, cloud.settings, volume_id, OTHER_POOL_TYPE, may_move=True)
        )
    assert refused_type.value.rule == "retype-multiattach"
