"""What admins do by force, on a real pool and real QEMUs: every way out leaves rows, pool and servers at one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.crash.scenarios_servers import a_blank_volume, a_server, a_stopped_server, an_attachment
from tests.crash.scenarios_volume_data import a_snapshot, take_snapshot
from tests.crash.stage import PROJECT, Stage, stage

from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, Invalid, WrongState
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.model.units import GIB
from cyclades.operations import (
    client_attachments,
    server_create,
    server_delete,
    snapshot_delete,
    snapshot_purge,
    snapshot_reset,
    volume_attach,
    volume_create,
    volume_delete,
    volume_detach,
    volume_extend,
    volume_force_detach,
    volume_purge,
    volume_reset,
    volume_transfer,
)
from cyclades.operations.block_device import IMAGE_ROOT, Disk
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store import attachments, messages, operations, quotas, schema, servers, volumes
from cyclades.store.database import Database


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found


async def volume(cloud: Stage, volume_id: str) -> Any:
    return await cloud.one(schema.volume, volume_id)


async def snapshot(cloud: Stage, snapshot_id: str) -> Any:
    return await cloud.one(schema.snapshot, snapshot_id)


async def told(cloud: Stage, resource_id: str) -> list[str]:
    """The messages about a resource."""
    wanted = messages.query(PROJECT).where(schema.message.c.resource_id == resource_id)
    return await cloud.db.read(lambda tx: [row.text for row in tx.execute(wanted)])


async def usage(cloud: Stage) -> dict[str, int]:
    return await cloud.db.read(lambda tx: quotas.usage(tx, PROJECT))


async def put(cloud: Stage, volume_id: str, **values: Any) -> None:
    """As something that went wrong has left it."""
    await cloud.db.write(lambda tx: volumes.change(tx, volume_id, **values))


async def purge(cloud: Stage, volume_id: str, *, cascade: bool = False, force: bool = False) -> None:
    await cloud.do(lambda tx: volume_purge.start(tx, cloud.caller, volume_id, cascade=cascade, force=force))


async def reset(cloud: Stage, volume_id: str, status: str | None, attach_status: str | None = None) -> None:
    await cloud.do(
        lambda tx: volume_reset.start(tx, cloud.caller, volume_id, status=status, attach_status=attach_status)
    )


async def plugged(cloud: Stage, server_id: str) -> dict[str, bool]:
    """What the backend shows: each volume, and whether it is read-only."""
    seen = await cloud.world.backends["local"].look(server_id)
    return {disk.volume_id: disk.read_only for disk in seen.disks}


async def create_fails(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> str:
    """A volume in error, without a disk."""

    async def refuse(*_: Any) -> None:
        raise Failed("The pool is on fire.")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools["local"], "create", refuse)
        volume_id: str = await cloud.do(
            lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, Wanted(size=1))
        )
    assert (await volume(cloud, volume_id)).status == "error"
    return volume_id


# --- deleting -------------------------------------------------------------------------------------


async def test_snapshots_go_with_their_volume_and_a_clone_stays(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    first, second = await a_snapshot(cloud, volume_id), await a_snapshot(cloud, volume_id)
    wanted = Wanted(source="snapshot", source_id=first)
    clone = await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, wanted))
    await purge(cloud, volume_id, cascade=True)
    assert (await volume(cloud, volume_id)).status == "deleted"
    assert [(await snapshot(cloud, one)).status for one in (first, second)] == ["deleted", "deleted"]
    used = await usage(cloud)
    assert (used[quota.VOLUMES], used[quota.SNAPSHOTS], used[quota.GIGABYTES]) == (1, 0, 1)
    assert (await volume(cloud, clone)).status == "available"
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_cascade_that_stops_in_the_middle_says_what_is_left(
    cloud: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume_id = await a_blank_volume(cloud)
    old, new = await a_snapshot(cloud, volume_id), await a_snapshot(cloud, volume_id)
    delete = cloud.world.pools["local"].delete

    async def but_not_the_old_one(disk: str, *args: Any, **more: Any) -> None:
        if disk == snapshot_disk(old):
            raise Failed("It sticks.")
        await delete(disk, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools["local"], "delete", but_not_the_old_one)
        await purge(cloud, volume_id, cascade=True)
    assert (await snapshot(cloud, new)).status == "deleted"
    for row in (await volume(cloud, volume_id), await snapshot(cloud, old)):
        assert (row.status, row.reason) == ("error_deleting", "It sticks.")
        assert await told(cloud, row.id) == ["It sticks."]
    used = await usage(cloud)
    assert (used[quota.VOLUMES], used[quota.SNAPSHOTS]) == (1, 1)
    await purge(cloud, volume_id, cascade=True)
    await cloud.clear()


async def test_a_snapshot_that_is_being_made_is_not_in_a_cascade_unless_by_force(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    snapshot_id = await cloud.db.write(lambda tx: take_snapshot(tx, cloud, volume_id))
    with pytest.raises(WrongState, match="creating"):
        await cloud.db.write(lambda tx: volume_purge.start(tx, cloud.caller, volume_id, cascade=True, force=False))
    assert (await volume(cloud, volume_id)).status == "available"
    await purge(cloud, volume_id, cascade=True, force=True)
    assert (await snapshot(cloud, snapshot_id)).status == "deleted"
    await cloud.clear()


async def test_force_needs_cascade_where_there_are_snapshots(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    await a_snapshot(cloud, volume_id)
    with pytest.raises(WrongState, match="snapshots"):
        await purge(cloud, volume_id, force=True)


async def test_a_volume_is_deleted_while_it_is_made(cloud: Stage) -> None:
    wanted = Wanted(source="image", source_id=await cloud.add_image())

    def both(tx: Any) -> str:
        volume_id = volume_create.start(tx, cloud.caller, cloud.settings, wanted)
        volume_purge.start(tx, cloud.caller, volume_id, cascade=False, force=True)
        volume_purge.start(tx, cloud.caller, volume_id, cascade=False, force=True)
        return volume_id

    volume_id = await cloud.do(both)
    assert (await volume(cloud, volume_id)).status == "deleted"
    assert await cloud.differences() == []
    await cloud.clear()


async def test_a_volume_is_deleted_while_it_is_attached_but_not_from_under_a_server(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)

    def both(tx: Any) -> None:
        volume_attach.start(tx, cloud.caller, server_id, volume_id)
        volume_purge.start(tx, cloud.caller, volume_id, cascade=False, force=True)

    await cloud.do(both)
    assert (await volume(cloud, volume_id)).status == "deleted"
    assert volume_id not in await plugged(cloud, server_id)
    other = await a_blank_volume(cloud)
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, other))
    with pytest.raises(WrongState, match=server_id):
        await purge(cloud, other, force=True)
    assert (await volume(cloud, other)).status == "in-use"
    await cloud.clear()


async def test_an_attachment_that_came_through_first_keeps_the_volume(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    row = await cloud.db.read(lambda tx: attachments.get(tx, server_id, volume_id))
    await cloud.db.write(lambda tx: attachments.change(tx, row.id, status="attaching"))
    await cloud.db.write(lambda tx: volume_purge.start(tx, cloud.caller, volume_id, cascade=False, force=True))
    await cloud.db.write(lambda tx: attachments.change(tx, row.id, status="attached"))
    await cloud.settle()
    assert (await volume(cloud, volume_id)).status == "in-use"
    assert volume_id in await plugged(cloud, server_id)
    assert any(server_id in text for text in await told(cloud, volume_id))
    assert await cloud.differences() == []
    await cloud.clear()


async def test_clones_that_were_asked_for_before_are_made(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = await a_blank_volume(cloud)
    snapshot_id = await a_snapshot(cloud, volume_id)
    pool = cloud.world.pools["local"]
    clone_now = pool.clone

    async def clone_late(*args: Any) -> None:
        """When the deletion says that it waits, or has not waited."""
        purge = sa.select(schema.operation).where(schema.operation.c.kind == "volume_purge")
        while True:
            row = await cloud.db.read(lambda tx: tx.execute(purge).one())
            if row.reason or row.ended_at:
                break
            await asyncio.sleep(0.01)
        await clone_now(*args)

    monkeypatch.setattr(pool, "clone", clone_late)

    def everything(tx: Any) -> list[str]:
        sources = (Wanted(source="volume", source_id=volume_id), Wanted(source="snapshot", source_id=snapshot_id))
        clones = [volume_create.start(tx, cloud.caller, cloud.settings, wanted) for wanted in sources]
        volume_purge.start(tx, cloud.caller, volume_id, cascade=True, force=True)
        return clones

    for clone in await cloud.do(everything):
        assert (await volume(cloud, clone)).status == "available"
    assert (await volume(cloud, volume_id)).status == "deleted"
    await cloud.clear()


async def test_two_that_delete_it_do_not_wait_for_each_other(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)

    def everything(tx: Any) -> None:
        volume_reset.start(tx, cloud.caller, volume_id, status="available")
        volume_purge.start(tx, cloud.caller, volume_id, cascade=False, force=True)
        volumes.change(tx, volume_id, operation_id=None)  # as the reset's end leaves it
        volume_delete.start(tx, cloud.caller, volume_id)

    await cloud.do(everything)
    assert (await volume(cloud, volume_id)).status == "deleted"
    await cloud.clear()


async def test_a_volume_of_a_server_that_is_made_is_not_taken_from_it(cloud: Stage) -> None:
    volume_id, image_id = await a_blank_volume(cloud), await cloud.add_image()
    flavor_id = (await cloud.one(schema.server, await a_server(cloud))).flavor_id
    asked = Asked(name="one", flavor_id=flavor_id, image_id=image_id, disks=(IMAGE_ROOT, Disk(volume_id=volume_id)))
    server_id = await cloud.db.write(lambda tx: server_create.start(tx, cloud.caller, cloud.settings, asked))
    for change in (
        lambda tx: volume_purge.start(tx, cloud.caller, volume_id, cascade=False, force=True),
        lambda tx: volume_reset.start(tx, cloud.caller, volume_id, status="available"),
    ):
        with pytest.raises(WrongState, match=server_id):
            await cloud.db.write(change)
    await cloud.settle()
    assert (await cloud.one(schema.server, server_id)).status == "ACTIVE"


async def test_what_a_client_only_reserved_does_not_keep_a_volume(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    place: dict[str, Any] = {"instance_id": None, "connector": None, "mode": None}
    attachment_id = await cloud.db.write(lambda tx: client_attachments.create(tx, cloud.caller, volume_id, **place))
    with pytest.raises(WrongState, match="attached"):
        await cloud.db.write(lambda tx: volume_delete.start(tx, cloud.caller, volume_id))
    await purge(cloud, volume_id, force=True)
    assert (await cloud.one(schema.attachment, attachment_id)).deleted_at is not None
    await cloud.clear()


async def test_a_disk_that_a_server_lost_long_ago_is_deleted_by_force(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    pool = cloud.world.pools["local"]
    await pool.claim(volume_disk(volume_id), f"local/{server_id}", 7)
    await cloud.do(lambda tx: volume_delete.start(tx, cloud.caller, volume_id))
    assert (await volume(cloud, volume_id)).status == "error_deleting"
    await purge(cloud, volume_id, force=True)
    assert (await volume(cloud, volume_id)).status == "deleted"
    await cloud.clear()


async def test_a_snapshot_is_deleted_in_any_state(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    for status in ("creating", "deleting", "error", "error_deleting"):
        snapshot_id = await a_snapshot(cloud, volume_id)
        await cloud.db.write(lambda tx, i=snapshot_id, s=status: snapshot_reset.start(tx, cloud.caller, i, s))  # type: ignore[misc]
        assert (await snapshot(cloud, snapshot_id)).status == status
        assert await cloud.differences() == []
        await cloud.do(lambda tx, i=snapshot_id: snapshot_purge.start(tx, cloud.caller, i))
        assert (await snapshot(cloud, snapshot_id)).status == "deleted"
    await cloud.clear()


async def test_a_snapshot_is_deleted_while_it_is_made(cloud: Stage) -> None:
    _, volume_id = await an_attachment(cloud)

    def both(tx: Any) -> str:
        snapshot_id = take_snapshot(tx, cloud, volume_id)
        snapshot_purge.start(tx, cloud.caller, snapshot_id)
        snapshot_purge.start(tx, cloud.caller, snapshot_id)
        return snapshot_id

    snapshot_id = await cloud.do(both)
    assert (await snapshot(cloud, snapshot_id)).status == "deleted"
    assert (await volume(cloud, volume_id)).status == "in-use"
    await cloud.clear()


async def test_snapshots_outlive_a_volume_that_was_given_away_without_them(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    snapshot_id = await a_snapshot(cloud, volume_id)
    await put(cloud, volume_id, project_id="f" * 32)
    await cloud.do(lambda tx: volume_delete.start(tx, cloud.caller, volume_id))
    assert (await volume(cloud, volume_id)).status == "deleted"
    wanted = Wanted(source="snapshot", source_id=snapshot_id)
    clone = await cloud.do(lambda tx: volume_create.start(tx, cloud.caller, cloud.settings, wanted))
    assert (await volume(cloud, clone)).status == "available"
    await cloud.do(lambda tx: snapshot_delete.start(tx, cloud.caller, snapshot_id))
    assert (await snapshot(cloud, snapshot_id)).status == "deleted"


# --- resetting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["error", "error_deleting", "creating", "deleting", "attaching", "detaching"])
async def test_a_status_that_promises_nothing_is_set_and_is_left_again(cloud: Stage, status: str) -> None:
    volume_id = await a_blank_volume(cloud)
    await cloud.db.write(lambda tx: volume_reset.start(tx, cloud.caller, volume_id, status=status))
    row = await volume(cloud, volume_id)
    assert (row.status, row.operation_id) == (status, None)
    assert bool(await told(cloud, volume_id)) == status.startswith("error")
    assert await cloud.differences() == []
    with pytest.raises(WrongState):
        await cloud.db.write(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2))
    for way_out in ("maintenance", "available"):
        await reset(cloud, volume_id, way_out)
        assert (await volume(cloud, volume_id)).status == way_out
    await cloud.clear()


async def test_a_volume_without_a_disk_does_not_become_available(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = await create_fails(cloud, monkeypatch)
    await reset(cloud, volume_id, "available")
    row = await volume(cloud, volume_id)
    assert row.status == "error"
    assert "no disk" in row.reason
    assert row.reason in await told(cloud, volume_id)
    await cloud.clear()


async def test_a_volume_that_a_server_has_is_not_made_available(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    with pytest.raises(WrongState, match=server_id):
        await reset(cloud, volume_id, "available")
    with pytest.raises(WrongState, match=server_id):
        await reset(cloud, volume_id, "available", "detached")
    await reset(cloud, volume_id, "error")
    assert (await volume(cloud, volume_id)).status == "error"
    await reset(cloud, volume_id, "in-use")
    assert (await volume(cloud, volume_id)).status == "in-use"
    assert volume_id in await plugged(cloud, server_id)
    await cloud.clear()


async def test_a_disk_that_its_server_has_let_go_of_is_free_again(cloud: Stage) -> None:
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    pool = cloud.world.pools["local"]
    await pool.claim(volume_disk(volume_id), f"local/{server_id}", 7)
    await put(cloud, volume_id, status="error", reason="The pool did not let go of it.")
    await reset(cloud, volume_id, "available")
    assert (await volume(cloud, volume_id)).status == "available"
    assert await cloud.differences() == []
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id))
    assert volume_id in await plugged(cloud, server_id) or (await volume(cloud, volume_id)).reason


async def test_a_disk_that_a_server_has_without_our_knowing_stays_its(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    row = await cloud.db.read(lambda tx: attachments.get(tx, server_id, volume_id))
    await cloud.db.write(lambda tx: attachments.change(tx, row.id, deleted_at=schema.now()))
    await put(cloud, volume_id, status="error")
    await reset(cloud, volume_id, "available")
    found = await volume(cloud, volume_id)
    assert found.status == "error"
    assert server_id in found.reason
    disk = await cloud.world.pools["local"].find(volume_disk(volume_id))
    assert disk is not None
    assert disk.owner == f"local/{server_id}"
    await purge(cloud, volume_id, force=True)
    assert (await volume(cloud, volume_id)).status == "error_deleting"
    assert volume_id in await plugged(cloud, server_id)


async def test_what_is_going_on_is_turned_back_first(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)

    def both(tx: Any) -> None:
        volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2)
        volume_reset.start(tx, cloud.caller, volume_id, status="error")
        volume_reset.start(tx, cloud.caller, volume_id, status="available")

    await cloud.db.write(both)
    opened = {row.args.get("status"): row for row in await cloud.db.read(operations.open_ones)}
    assert opened["error"].cancelled  # what was wanted last counts
    assert not opened["available"].cancelled
    await cloud.settle()
    row = await volume(cloud, volume_id)
    assert (row.status, row.size) == ("available", 1)
    assert (await usage(cloud))[quota.GIGABYTES] == 1
    await cloud.clear()


async def test_what_cannot_be_turned_back_ends_first(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)

    def both(tx: Any) -> None:
        volume_delete.start(tx, cloud.caller, volume_id)
        final = {"step": len(volume_delete.OPERATION.steps) - 1}
        tx.execute(schema.operation.update().where(schema.operation.c.kind == "volume_delete").values(**final))
        volume_reset.start(tx, cloud.caller, volume_id, status="available")

    await cloud.do(both)
    assert (await volume(cloud, volume_id)).status == "deleted"
    await cloud.clear()


async def test_an_attachment_that_was_under_way_is_told_of(cloud: Stage) -> None:
    """It came through before it was asked to turn back: the volume is in use, whatever was asked for."""
    server_id, volume_id = await an_attachment(cloud)
    attached = sa.select(schema.operation.c.id).where(schema.operation.c.kind == "volume_attach")
    op_id = await cloud.db.read(lambda tx: tx.execute(attached).scalar_one())
    await put(cloud, volume_id, operation_id=op_id)
    await reset(cloud, volume_id, "available")
    row = await volume(cloud, volume_id)
    assert row.status == "in-use"
    assert any(server_id in text for text in await told(cloud, volume_id))
    assert await cloud.differences() == []


async def test_the_size_is_the_disks(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    await cloud.world.pools["local"].extend(volume_disk(volume_id), 2 * GIB)
    await put(cloud, volume_id, status="error_extending")
    await reset(cloud, volume_id, "available")
    row = await volume(cloud, volume_id)
    assert (row.status, row.size) == ("available", 2)
    used = await usage(cloud)
    assert (used[quota.GIGABYTES], used[quota.DISK], used[quota.VOLUMES]) == (2, 2 * GIB, 1)
    await cloud.clear()


async def test_an_extension_of_which_nobody_knows_the_end_counts_what_the_row_says(
    cloud: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume_id = await a_blank_volume(cloud)

    async def refuse(*_: Any) -> None:
        raise Failed("Nobody answers.")

    with monkeypatch.context() as patch:
        for verb in ("extend", "find"):
            patch.setattr(cloud.world.pools["local"], verb, refuse)
        await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, volume_id, 2))
    row = await volume(cloud, volume_id)
    assert (row.status, row.size) == ("error_extending", 1)
    assert (await usage(cloud))[quota.GIGABYTES] == 1
    await reset(cloud, volume_id, "available")
    await cloud.clear()


async def test_a_reset_ends_a_transfer_and_forgets_clients_attachments(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    offer = await cloud.db.write(
        lambda tx: volume_transfer.create(tx, cloud.caller, volume_id, name=None, no_snapshots=False)
    )
    await reset(cloud, volume_id, "available")
    assert (await cloud.one(schema.transfer, offer.transfer_id)).deleted_at is not None
    place: dict[str, Any] = {"instance_id": None, "host_name": "elsewhere", "device": "/dev/sdx", "mode": "rw"}
    await cloud.db.write(lambda tx: client_attachments.attach(tx, cloud.caller, volume_id, **place))
    with pytest.raises(WrongState, match="elsewhere"):
        await reset(cloud, volume_id, "available")
    with pytest.raises(Invalid):
        await reset(cloud, volume_id, "awaiting-transfer")
    await reset(cloud, volume_id, None, "attached")
    assert (await volume(cloud, volume_id)).status == "in-use"
    await reset(cloud, volume_id, None, "detached")
    assert (await volume(cloud, volume_id)).status == "available"
    with pytest.raises(WrongState):
        await reset(cloud, volume_id, None, "attached")
    with pytest.raises(WrongState):
        await reset(cloud, volume_id, "in-use")
    await cloud.clear()


async def test_what_was_wanted_last_counts(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    snapshot_id = await a_snapshot(cloud, volume_id)

    def one_after_the_other(tx: Any) -> None:
        for status in ("available", "creating"):
            snapshot_reset.start(tx, cloud.caller, snapshot_id, status)
            volume_reset.start(tx, cloud.caller, volume_id, status=status)

    await cloud.do(one_after_the_other)
    for row in (await snapshot(cloud, snapshot_id), await volume(cloud, volume_id)):
        assert row.status == "creating"
        assert row.held_since is not None
    assert await cloud.differences() == []

    def the_other_way_round(tx: Any) -> None:
        snapshot_purge.start(tx, cloud.caller, snapshot_id)
        snapshot_reset.start(tx, cloud.caller, snapshot_id, "available")

    await cloud.do(the_other_way_round)
    assert (await snapshot(cloud, snapshot_id)).status == "available"
    await cloud.do(lambda tx: volume_purge.start(tx, cloud.caller, volume_id, cascade=True, force=True))
    await cloud.clear()


async def test_a_snapshot_without_a_disk_does_not_become_available(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    snapshot_id = await a_snapshot(cloud, volume_id)
    for status in ("error", "available"):
        await cloud.do(lambda tx, s=status: snapshot_reset.start(tx, cloud.caller, snapshot_id, s))
        assert (await snapshot(cloud, snapshot_id)).status == status
    await cloud.world.pools["local"].delete(snapshot_disk(snapshot_id))
    await cloud.do(lambda tx: snapshot_reset.start(tx, cloud.caller, snapshot_id, "available"))
    row = await snapshot(cloud, snapshot_id)
    assert row.status == "error"
    assert row.reason in await told(cloud, snapshot_id)
    await cloud.clear()


# --- detaching ------------------------------------------------------------------------------------


async def test_a_volume_in_error_is_detached_by_force(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    await reset(cloud, volume_id, "error")
    with pytest.raises(WrongState):
        await cloud.db.write(lambda tx: volume_detach.start(tx, cloud.caller, server_id, volume_id))
    await cloud.do(lambda tx: volume_force_detach.start(tx, cloud.caller, volume_id, None))
    assert (await volume(cloud, volume_id)).status == "available"
    assert volume_id not in await plugged(cloud, server_id)
    assert await cloud.differences() == []
    await cloud.clear()


async def test_force_takes_nothing_that_the_server_keeps(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id, volume_id = await an_attachment(cloud)

    async def refuse(*_: Any, **__: Any) -> None:
        raise Failed("The guest did not let go.")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.backends["local"], "unplug", refuse)
        await cloud.do(lambda tx: volume_force_detach.start(tx, cloud.caller, volume_id, None))
    assert (await volume(cloud, volume_id)).status == "in-use"
    disk = await cloud.world.pools["local"].find(volume_disk(volume_id))
    assert disk is not None
    assert disk.owner == f"local/{server_id}"
    await cloud.clear()


async def test_force_takes_what_a_server_in_error_does_not_have(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    await cloud.world.backends["local"].delete(server_id)
    await cloud.db.write(lambda tx: servers.change(tx, server_id, status="ERROR"))
    await cloud.do(lambda tx: volume_force_detach.start(tx, cloud.caller, volume_id, None))
    assert (await volume(cloud, volume_id)).status == "available"
    await cloud.clear()


async def test_force_takes_no_root_and_waits_for_no_server(cloud: Stage) -> None:
    server_id, volume_id = await an_attachment(cloud)
    root = (await cloud.db.read(lambda tx: attachments.of_server(tx, server_id)))[0].volume_id
    with pytest.raises(Invalid, match="root"):
        await cloud.db.write(lambda tx: volume_force_detach.start(tx, cloud.caller, root, None))
    await cloud.db.write(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    with pytest.raises(WrongState) as refused:
        await cloud.db.write(lambda tx: volume_force_detach.start(tx, cloud.caller, volume_id, None))
    assert refused.value.resource == "server"
    await cloud.settle()
    assert (await volume(cloud, volume_id)).status == "available"
    await cloud.clear()


async def test_force_ends_what_clients_keep(cloud: Stage) -> None:
    volume_id = await a_blank_volume(cloud)
    await reset(cloud, volume_id, "maintenance")
    with pytest.raises(WrongState):
        await cloud.db.write(lambda tx: volume_force_detach.start(tx, cloud.caller, volume_id, None))
    await reset(cloud, volume_id, "available")
    place: dict[str, Any] = {"instance_id": None, "host_name": "elsewhere", "device": "/dev/sdx", "mode": "rw"}
    for status in ("in-use", "error"):
        await cloud.db.write(lambda tx: client_attachments.attach(tx, cloud.caller, volume_id, **place))
        await reset(cloud, volume_id, status)
        await cloud.do(lambda tx: volume_force_detach.start(tx, cloud.caller, volume_id, None))
        assert (await volume(cloud, volume_id)).status == "available"
    await cloud.db.write(lambda tx: client_attachments.reserve(tx, cloud.caller, volume_id))
    for _ in range(2):
        await cloud.do(lambda tx: volume_force_detach.start(tx, cloud.caller, volume_id, None))
        assert (await volume(cloud, volume_id)).status == "available"
    await cloud.clear()


# --- and beside -----------------------------------------------------------------------------------


async def test_a_guest_cannot_write_to_a_volume_that_is_read_only(cloud: Stage) -> None:
    running, stopped = await a_server(cloud), await a_stopped_server(cloud)
    volume_id = await a_blank_volume(cloud)
    await put(cloud, volume_id, readonly=True)
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, running, volume_id))
    assert (await plugged(cloud, running))[volume_id] is True
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, running, volume_id))
    await put(cloud, volume_id, readonly=False)
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, stopped, volume_id))
    assert (await plugged(cloud, stopped))[volume_id] is False
    await cloud.clear()


async def test_every_error_has_its_message(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of volumes that an operation on a server leaves in one."""
    server_id, volume_id = await a_server(cloud), await a_blank_volume(cloud)
    await cloud.do(lambda tx: volume_attach.start(tx, cloud.caller, server_id, volume_id, delete_on_termination=True))

    async def refuse(*_: Any, **__: Any) -> None:
        raise Failed("It sticks.")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools["local"], "delete", refuse)
        await cloud.do(lambda tx: server_delete.start(tx, cloud.caller, server_id))
    assert (await volume(cloud, volume_id)).status == "error_deleting"
    assert await told(cloud, volume_id) == ["It sticks."]
    assert await told(cloud, server_id) == ["It sticks."]
    await cloud.clear()


async def test_a_message_is_to_the_project_that_has_the_volume(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    volume_id = await a_blank_volume(cloud)
    admin = Caller("2" * 32, "f" * 32, frozenset({"admin"}), "req-admin")

    async def refuse(*_: Any, **__: Any) -> None:
        raise Failed("It sticks.")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.world.pools["local"], "delete", refuse)
        await cloud.do(lambda tx: volume_delete.start(tx, admin, volume_id))
    assert await told(cloud, volume_id) == ["It sticks."]
    await cloud.clear()
