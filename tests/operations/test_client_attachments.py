"""What clients hold and attach themselves, beside the servers of a real cloud; no guest boots in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.scenarios_servers import a_blank_volume, a_server, an_attachment
from tests.crash.stage import Stage, stage

from cyclades.model.errors import WrongState
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations import client_attachments as clients
from cyclades.operations import server_delete, snapshot_create, volume_attach, volume_detach, volume_extend
from cyclades.operations.base import new_id
from cyclades.store import attachments, schema, servers, volumes
from cyclades.store.database import Database


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found


async def volume_row(cloud: Stage, volume_id: str) -> Any:
    return await cloud.one(schema.volume, volume_id)


async def status(cloud: Stage, volume_id: str) -> tuple[str, bool]:
    """And whether a client holds it."""
    row = await volume_row(cloud, volume_id)
    return row.status, row.held_since is not None


async def attach(cloud: Stage, volume_id: str, *, instance_id: str, mode: str = "rw") -> None:
    def change(tx: Any) -> None:
        clients.attach(
            tx, cloud.caller, volume_id, instance_id=instance_id, host_name=None, device="/dev/vdb", mode=mode
        )

    await cloud.do(change)


async def detach(cloud: Stage, volume_id: str) -> None:
    await cloud.do(lambda tx: clients.detach(tx, cloud.caller, volume_id, None))


async def share(cloud: Stage, volume_id: str) -> None:
    """As if its pool offered multi-attach."""
    await cloud.db.write(lambda tx: volumes.change(tx, volume_id, multiattach=True))


async def test_a_server_of_ours_has_it_read_only(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    await cloud.db.write(lambda tx: clients.reserve(tx, cloud.caller, volume_id))
    assert await status(cloud, volume_id) == ("attaching", True)
    assert await cloud.differences() == []
    await attach(cloud, volume_id, instance_id=server_id, mode="ro")
    assert await status(cloud, volume_id) == ("in-use", False)
    seen = await cloud.world.backends["local"].look(server_id)
    assert [disk.read_only for disk in seen.disks if disk.volume_id == volume_id] == [True]
    disk = await cloud.world.pools["local"].find(volume_disk(volume_id))
    assert disk is not None
    assert disk.owner == f"local/{server_id}"
    assert await cloud.differences() == []

    await cloud.db.write(lambda tx: clients.begin_detaching(tx, cloud.caller, volume_id))
    assert await status(cloud, volume_id) == ("detaching", True)
    assert await cloud.differences() == []
    await detach(cloud, volume_id)
    assert await status(cloud, volume_id) == ("available", False)
    seen = await cloud.world.backends["local"].look(server_id)
    assert volume_id not in [disk.volume_id for disk in seen.disks]
    await cloud.clear()


async def test_a_server_goes_although_a_client_holds_its_volume(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    await cloud.db.write(lambda tx: clients.begin_detaching(tx, cloud.caller, volume_id))
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    assert (await cloud.one(schema.server, server_id)).status == "DELETED"
    assert await status(cloud, volume_id) == ("available", False)
    await cloud.clear()


async def test_what_a_guest_let_go_of_late_is_detached_although_a_client_holds_it(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    await cloud.db.write(lambda tx: clients.begin_detaching(tx, cloud.caller, volume_id))

    def late(tx: Any) -> None:
        volume_detach.complete(tx, servers.hold(tx, server_id, None), attachments.get(tx, server_id, volume_id))

    await cloud.do(late)
    assert await status(cloud, volume_id) == ("available", False)
    await cloud.clear()


async def test_a_clients_own_attachment_is_rows_and_nothing_else(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    await attach(cloud, volume_id, instance_id=new_id())
    assert await status(cloud, volume_id) == ("in-use", False)
    assert await cloud.differences() == []
    with pytest.raises(WrongState):
        await cloud.db.write(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id))
    # It goes on being a volume like any other.
    await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2))
    values: dict[str, Any] = {"name": None, "description": None, "metadata": {}, "in_use": True}
    await cloud.do(lambda tx: snapshot_create.start(tx, cloud.caller, cloud.settings, volume_id, **values))
    assert await status(cloud, volume_id) == ("in-use", False)
    disk = await cloud.world.pools["local"].find(volume_disk(volume_id))
    assert disk is not None
    assert (disk.size, disk.owner) == (2 * GIB, None)
    assert await cloud.differences() == []
    await detach(cloud, volume_id)
    await cloud.clear()


async def test_what_a_client_shares_with_a_server_of_ours_stays_in_use(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    await share(cloud, volume_id)
    own = await cloud.db.write(
        lambda tx: clients.create(
            tx, cloud.caller, volume_id, instance_id=None, connector={"host": "elsewhere"}, mode=None
        )
    )
    assert await status(cloud, volume_id) == ("attaching", True)
    assert await cloud.differences() == []
    await cloud.db.write(lambda tx: clients.complete(tx, cloud.caller, own))
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
    assert await status(cloud, volume_id) == ("in-use", False)
    assert await cloud.differences() == []
    await detach(cloud, volume_id)
    assert await status(cloud, volume_id) == ("available", False)
    await cloud.clear()


async def test_a_volume_that_others_have_outlives_its_server(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    await share(cloud, volume_id)
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id, delete_on_termination=True))
    await attach(cloud, volume_id, instance_id=new_id())
    await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    assert await status(cloud, volume_id) == ("in-use", False)
    await detach(cloud, volume_id)
    await cloud.clear()


async def test_a_shared_volume_that_a_server_does_not_get_is_still_its_others(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    await share(cloud, volume_id)
    await attach(cloud, volume_id, instance_id=new_id())
    pool, generation = cloud.world.pools["local"], (await volume_row(cloud, volume_id)).generation
    await pool.claim(volume_disk(volume_id), "somebody/else", generation)
    await attach(cloud, volume_id, instance_id=server_id)
    row = await volume_row(cloud, volume_id)
    assert (row.status, row.held_since) == ("in-use", None)
    assert "somebody/else" in row.reason
    await pool.release(volume_disk(volume_id), "somebody/else", generation)
    await attach(cloud, volume_id, instance_id=server_id)
    with pytest.raises(WrongState, match="already"):  # one server has it once
        await attach(cloud, volume_id, instance_id=server_id)
    await cloud.db.write(lambda tx: [clients.remove(tx, cloud.caller, one) for one in _own(tx, volume_id)])
    await cloud.clear()


def _own(tx: Any, volume_id: str) -> list[str]:
    return [one.id for one in attachments.of_volume(tx, volume_id) if one.server_id is None]


async def test_the_audit_tells_who_keeps_a_status(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    for held_since, state, text in (
        (None, "attaching", "is attaching, and no operation owns it"),
        (1, "available", "is available, yet marked as held in that"),
    ):
        values = {"status": state, "held_since": held_since}
        await cloud.db.write(lambda tx, values=values: volumes.change(tx, volume_id, **values))  # type: ignore[misc]
        assert await cloud.differences() == [f"volume {volume_id} {text}"]
    await cloud.db.write(lambda tx: volumes.change(tx, volume_id, status="attaching", held_since=1))
    assert await cloud.differences() == []
    await cloud.db.write(lambda tx: clients.unreserve(tx, cloud.caller, volume_id))
    await cloud.clear()
