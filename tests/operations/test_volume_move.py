"""Volumes that go to another pool while a server has them: on two real pools and real QEMUs, in which the tests write
as a guest would."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.backends.ground import until
from tests.crash.scenarios_servers import a_blank_volume, a_server_of_volumes, an_attachment
from tests.crash.scenarios_volume_data import a_snapshot
from tests.crash.stage import OTHER_POOL, OTHER_POOL_TYPE, PROJECT, Stage, stage
from tests.pools.disk_io import parts
from tests.processes import guests

from cyclades.backends.local import disks
from cyclades.backends.local.backend import LocalBackend
from cyclades.backends.local.home import Home
from cyclades.backends.local.mirror import LocalMirror
from cyclades.backends.local.qmp import connected
from cyclades.engine.engine import Phase
from cyclades.model import quota
from cyclades.model.errors import Invalid, OverQuota, Refusal, WrongState
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB, KIB, MIB
from cyclades.operations import (
    server_delete,
    server_start,
    server_stop,
    snapshot_create,
    volume_delete,
    volume_detach,
    volume_extend,
    volume_reset,
    volume_retype,
)
from cyclades.operations.base import Work
from cyclades.store import attachments, quotas, schema, volume_types, volumes
from cyclades.store.database import Database, Tx

FULL = "The pool has no space left."


@pytest.fixture
async def cloud(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(database, tmp_path / "cloud") as found:
        yield found
        assert await found.differences() == []
        await found.clear()


@pytest.fixture
async def small(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    """Its other pool has 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    pool = tmp_path / "cloud" / "pools" / OTHER_POOL
    pool.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "cyclades-test", pool], check=True)  # noqa: ASYNC221
    try:
        async with stage(database, tmp_path / "cloud") as found:
            yield found
            assert await found.differences() == []
            await found.clear()
    finally:
        subprocess.run(["umount", pool], check=True)  # noqa: ASYNC221


class Disk:
    """A volume in a running QEMU, as its guest would write to it."""

    def __init__(self, cloud: Stage, server_id: str, volume_id: str) -> None:
        backend = cloud.world.backends["local"]
        assert isinstance(backend, LocalBackend)
        self.cloud, self.server_id, self.volume_id = cloud, server_id, volume_id
        self._home: Home = backend._home(server_id)

    async def _io(self, command: str) -> None:
        async with connected(self._home.qmp) as monitor:
            device = (await disks.present(monitor))[self.volume_id].device
            line = f'qemu-io -d {device} "{command}"'
            answer = await monitor.command("human-monitor-command", {"command-line": line})
        assert "error" not in answer.lower(), answer
        assert "failed" not in answer.lower(), answer

    async def write(self, offset: int, length: int, byte: int) -> None:
        await self._io(f"write -P {byte} {offset} {length}")
        await self._io("flush")

    async def write_unflushed(self, offset: int, length: int, byte: int) -> None:
        await self._io(f"write -P {byte} {offset} {length}")

    async def read(self, offset: int, length: int, byte: int) -> None:
        """Assert what is read."""
        await self._io(f"read -P {byte} {offset} {length}")

    async def let_go(self) -> None:
        """Of the device, as a guest does that was asked long ago."""
        async with connected(self._home.qmp) as monitor:
            device = (await disks.present(monitor))[self.volume_id].device
            with monitor.listening("DEVICE_DELETED") as events:
                await monitor.command("device_del", {"id": device})
                while self.volume_id in await disks.present(monitor):
                    await events.get()

    async def row(self) -> Any:
        return await self.cloud.one(schema.volume, self.volume_id)

    async def kept(self, tmp_path: Path, *places: tuple[int, int]) -> list[bytes]:
        """What is on the disk, with the server off."""
        pool = self.cloud.world.pools[(await self.row()).pool]
        return await parts(pool, volume_disk(self.volume_id), tmp_path, *places)

    async def stop(self) -> None:
        await self.cloud.do(lambda tx: server_stop.start(tx, self.cloud.caller, self.server_id))

    async def start(self) -> None:
        await self.cloud.do(lambda tx: server_start.start(tx, self.cloud.caller, self.server_id))

    async def kill(self) -> None:
        """Its QEMU, with all that it has not written out."""
        for pid in guests(self.cloud.settings.data).values():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: self._home.pid() is None)


async def a_disk(cloud: Stage) -> Disk:
    return Disk(cloud, *await an_attachment(cloud))


async def used(cloud: Stage) -> dict[str, int]:
    usage = await cloud.db.read(lambda tx: quotas.usage(tx, PROJECT))
    return {name: amount for name, amount in usage.items() if amount}


def ask(tx: Tx, cloud: Stage, volume_id: str, type_name: str = OTHER_POOL_TYPE) -> None:
    volume_retype.start(tx, cloud.caller, cloud.settings, volume_id, type_name, may_move=True)


async def begin(cloud: Stage, volume_id: str) -> None:
    await cloud.db.write(lambda tx: ask(tx, cloud, volume_id))


# --- what comes of it -----------------------------------------------------------------------------


async def test_it_goes_while_it_is_written_and_back(cloud: Stage, tmp_path: Path) -> None:
    disk = await a_disk(cloud)
    await disk.write(0, MIB, 1)
    before = await used(cloud)
    places = (("standard", "local", OTHER_POOL), (OTHER_POOL_TYPE, OTHER_POOL, "local"))
    for byte, (type_name, here, there) in enumerate(reversed(places), 2):
        seen: list[Any] = []

        async def writes(
            phase: Phase, work: Work[Any], step: str, direction: str, byte: int = byte, seen: list[Any] = seen
        ) -> None:
            if (work.kind, step, phase) == ("volume_retype", "switch", "before"):
                row = await disk.row()
                seen.append((row.status, row.migration_status, row.pool))
                await disk.write(byte * MIB, MIB, byte)

        await cloud.db.write(lambda tx, name=type_name: ask(tx, cloud, disk.volume_id, name))  # type: ignore[misc]
        await cloud.settle(writes)
        assert seen == [("retyping", "migrating", there)]
        row = await disk.row()
        assert (row.status, row.migration_status, row.pool) == ("in-use", "success", here)
        old, new = cloud.world.pools[there], cloud.world.pools[here]
        assert await old.find(volume_disk(disk.volume_id)) is None
        moved = await new.find(volume_disk(disk.volume_id))
        assert moved is not None
        assert (moved.owner, moved.generation) == (f"local/{disk.server_id}", row.generation)
        for each in range(1, byte + 1):
            await disk.read((each if each > 1 else 0) * MIB, MIB, each)
        await disk.write(9 * MIB, KIB, byte)
        assert await cloud.differences() == []
    assert await used(cloud) == before
    await disk.stop()
    places_of_data = ((0, KIB), (2 * MIB, KIB), (3 * MIB, KIB), (9 * MIB, KIB), (GIB - KIB, KIB))
    assert await disk.kept(tmp_path, *places_of_data) == [bytes([byte]) * KIB for byte in (1, 2, 3, 3, 0)]
    await disk.start()
    await disk.read(3 * MIB, MIB, 3)
    await cloud.do(lambda tx: volume_extend.start(tx, cloud.caller, cloud.settings, disk.volume_id, 2))
    await a_snapshot(cloud, disk.volume_id)
    await disk.write(GIB, MIB, 5)


async def test_a_root_that_is_a_clone_goes_alone(cloud: Stage, tmp_path: Path) -> None:
    server_id = await a_server_of_volumes(cloud)
    root, other = await cloud.db.read(lambda tx: attachments.of_server(tx, server_id))
    disk = Disk(cloud, server_id, root.volume_id)
    await disk.write(MIB, KIB, 7)
    await begin(cloud, root.volume_id)
    await cloud.settle()
    assert (await disk.row()).pool == OTHER_POOL
    assert (await cloud.one(schema.volume, other.volume_id)).pool == "local"
    await disk.stop()
    assert await disk.kept(tmp_path, (0, 256), (MIB, KIB)) == [bytes(range(256)), b"\7" * KIB]
    await disk.start()
    assert (await cloud.one(schema.server, server_id)).status == "ACTIVE"


async def test_with_its_server_off(cloud: Stage, tmp_path: Path) -> None:
    disk = await a_disk(cloud)
    await disk.write(0, MIB, 1)
    await disk.stop()
    await begin(cloud, disk.volume_id)
    await cloud.settle()
    row = await disk.row()
    assert (row.status, row.migration_status, row.pool) == ("in-use", "success", OTHER_POOL)
    assert await disk.kept(tmp_path, (0, KIB)) == [b"\1" * KIB]
    await disk.start()
    await disk.read(0, MIB, 1)


async def test_to_the_pool_that_its_type_has_now(cloud: Stage, tmp_path: Path) -> None:
    """An operator has changed where the disks of its type lie."""
    disk = await a_disk(cloud)
    await disk.write(0, MIB, 1)
    before, here = await used(cloud), {"cyclades:pool": OTHER_POOL}
    standard = sa.update(schema.volume_type).where(schema.volume_type.c.name == "standard")
    await cloud.db.write(lambda tx: tx.execute(standard.values(extra_specs=here)))
    await cloud.do(lambda tx: volume_retype.to_pool(tx, cloud.caller, cloud.settings, disk.volume_id, OTHER_POOL))
    row = await disk.row()
    assert (row.status, row.migration_status, row.pool) == ("in-use", "success", OTHER_POOL)
    assert await used(cloud) == before
    await disk.read(0, MIB, 1)


# --- a machine that dies --------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [("copy", "after"), ("switch", "before"), ("switch", "after")])
async def test_killed_with_data_in_its_hands(cloud: Stage, tmp_path: Path, moment: tuple[str, str]) -> None:
    """What the guest had flushed is there, whichever disk it is on."""
    disk = await a_disk(cloud)
    await disk.write(0, MIB, 1)
    killed: list[str] = []

    async def kills(phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        if (step, phase) == moment and not killed:
            killed.append(step)
            await disk.write(MIB, MIB, 2)
            await disk.write_unflushed(2 * MIB, MIB, 3)
            await disk.kill()

    await begin(cloud, disk.volume_id)
    await cloud.settle(kills)
    row = await disk.row()
    assert (killed, row.status, row.pool) == ([moment[0]], "in-use", OTHER_POOL)
    assert await disk.kept(tmp_path, (0, KIB), (2 * MIB - KIB, KIB)) == [b"\1" * KIB, b"\2" * KIB]
    await cloud.db.write(
        lambda tx: tx.execute(sa.update(schema.server).values(status="SHUTOFF", power="crashed"))
    )  # nobody follows what happens by itself here
    await disk.start()
    await disk.read(MIB, MIB, 2)


@pytest.mark.parametrize("which", ["before", "after"])
async def test_killed_while_both_are_the_same(
    cloud: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """Around the one transaction that says where the volume lies. Before it, the old disk has what the guest flushed;
    after it, the new one has all that the guest wrote."""
    disk = await a_disk(cloud)
    name = {"before": "hold", "after": "turn"}[which]
    original = getattr(LocalMirror, name)
    pools: list[str] = []
    answered: list[bool] = []  # what the guest wrote while it was held: then it has to be there

    async def dies(self: LocalMirror, *args: Any) -> Any:
        if not pools:
            pools.append((await disk.row()).pool)
            if which == "before":
                await original(self, *args)
                last = asyncio.create_task(disk.write(2 * MIB, KIB, 3))
                await asyncio.wait([last], timeout=0.5)
                answered.append(last.done())
            await disk.kill()
            if which == "before":
                await asyncio.gather(last, return_exceptions=True)
        return await original(self, *args)

    async def writes(phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        if (step, phase, bool(pools)) == ("switch", "before", False):
            await (disk.write if which == "before" else disk.write_unflushed)(0, MIB, 1)

    monkeypatch.setattr(LocalMirror, name, dies)
    await begin(cloud, disk.volume_id)
    await cloud.settle(writes)
    assert pools == [{"before": "local", "after": OTHER_POOL}[which]]
    assert ((await disk.row()).status, (await disk.row()).pool) == ("in-use", OTHER_POOL)
    *first, last = await disk.kept(tmp_path, (0, KIB), (MIB - KIB, KIB), (2 * MIB, KIB))
    assert first == [b"\1" * KIB] * 2
    assert last == b"\3" * KIB or not any(answered)
    await cloud.db.write(lambda tx: tx.execute(sa.update(schema.server).values(status="SHUTOFF", power="crashed")))


async def test_a_machine_that_keeps_the_old_disk_after_all(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there the volume lies."""
    disk = await a_disk(cloud)
    before = await used(cloud)

    async def parts(self: LocalMirror, _: Any) -> bool:
        await self.part()
        return False

    with monkeypatch.context() as patch:
        patch.setattr(LocalMirror, "turn", parts)
        await begin(cloud, disk.volume_id)
        await cloud.settle()
    row = await disk.row()
    assert (row.status, row.migration_status, row.pool) == ("in-use", "error", "local")
    assert await used(cloud) == before
    await disk.write(0, MIB, 1)


async def test_a_guest_that_lets_go_of_it_meanwhile(cloud: Stage, tmp_path: Path) -> None:
    """As after a detach that we had given up on: nobody has it open any more, and the copy goes on at rest."""
    disk = await a_disk(cloud)
    await disk.write(0, MIB, 1)
    gone: list[str] = []

    async def lets_go(phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        if (work.kind, step, phase, gone) == ("volume_retype", "switch", "before", []):
            gone.append(step)
            await disk.let_go()

    await begin(cloud, disk.volume_id)
    await cloud.settle(lets_go)
    row = await disk.row()
    assert (gone, row.status, row.migration_status, row.pool) == (["switch"], "in-use", "success", OTHER_POOL)
    assert await disk.kept(tmp_path, (0, KIB)) == [b"\1" * KIB]
    await cloud.do(lambda tx: volume_detach.start(tx, cloud.caller, disk.server_id, disk.volume_id))


# --- what comes between ---------------------------------------------------------------------------


async def test_what_its_server_is_asked_meanwhile(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops when the volume has arrived, and starts then, too."""
    disk = await a_disk(cloud)

    async def stops(phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        if (work.kind, step, phase) == ("volume_retype", "copy", "before"):
            await cloud.db.write(lambda tx: server_stop.start(tx, cloud.caller, disk.server_id))

    await begin(cloud, disk.volume_id)
    await cloud.settle(stops)
    assert (await cloud.one(schema.server, disk.server_id)).status == "SHUTOFF"
    row = await disk.row()
    assert (row.status, row.migration_status, row.pool) == ("in-use", "success", OTHER_POOL)


@pytest.mark.parametrize("state", ["running", "stopped"])
@pytest.mark.parametrize("what", ["server-deleted", "reset"])
async def test_turned_back_in_the_middle_of_the_copy(
    cloud: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, what: str
) -> None:
    disk = await a_disk(cloud)
    await disk.write(0, MIB, 1)
    if state == "stopped":
        await disk.stop()
    progress = Work.progress_or_end
    asked: list[float] = []

    async def interrupts(self: Work[Any], fraction: float) -> None:
        if not asked:
            asked.append(fraction)
            if what == "reset":
                change = lambda tx: volume_reset.start(tx, cloud.caller, disk.volume_id, status="in-use")  # noqa: E731
            else:
                change = lambda tx: server_delete.start(tx, cloud.caller, disk.server_id)  # noqa: E731
            await cloud.db.write(change)
        await progress(self, fraction)

    async def tells(phase: Phase, work: Work[Any], step: str, direction: str) -> None:
        """A copy that is too quick to tell how far it is does so once."""
        if (work.kind, step, phase, asked) == ("volume_retype", "copy", "after", []):
            await work.progress_or_end(1.0)

    monkeypatch.setattr(Work, "progress_or_end", interrupts)
    await begin(cloud, disk.volume_id)
    await cloud.settle(tells)
    row = await disk.row()
    assert (row.status, row.pool) == ({"reset": "in-use"}.get(what, "available"), "local")
    assert row.migration_status == "error"
    assert await cloud.world.pools[OTHER_POOL].find(volume_disk(disk.volume_id)) is None
    if what == "server-deleted":
        assert await disk.kept(tmp_path, (0, KIB)) == [b"\1" * KIB]


async def test_nothing_else_is_done_to_it_meanwhile(cloud: Stage) -> None:
    disk = await a_disk(cloud)
    await begin(cloud, disk.volume_id)
    caller, settings, volume_id = cloud.caller, cloud.settings, disk.volume_id
    for change in (
        lambda tx: volume_detach.start(tx, caller, disk.server_id, volume_id),
        lambda tx: volume_delete.start(tx, caller, volume_id),
        lambda tx: volume_extend.start(tx, caller, settings, volume_id, 2),
        lambda tx: ask(tx, cloud, volume_id, "same-pool"),
        lambda tx: snapshot_create.start(
            tx, caller, settings, volume_id, name=None, description=None, metadata={}, in_use=True
        ),
    ):
        with pytest.raises(WrongState):
            await cloud.db.write(change)
    await cloud.settle()
    assert ((await disk.row()).status, (await disk.row()).pool) == ("in-use", OTHER_POOL)


# --- a pool that is full --------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "stopped"])
async def test_a_full_pool_leaves_the_volume_unharmed(small: Stage, state: str) -> None:
    disk = await a_disk(small)
    await disk.write(0, 8 * MIB, 1)
    if state == "stopped":
        await disk.stop()
    before = await used(small)
    await begin(small, disk.volume_id)
    await small.settle()
    row = await disk.row()
    assert (row.status, row.migration_status, row.pool) == ("in-use", "error", "local")
    told = await small.db.read(lambda tx: tx.execute(sa.select(schema.message.c.text)).scalars().all())
    assert any(FULL in text for text in told), told
    assert await used(small) == before
    if state == "stopped":
        await disk.start()
    await disk.read(0, 8 * MIB, 1)
    await disk.write(MIB, MIB, 2)


# --- what is refused ------------------------------------------------------------------------------


async def refused(cloud: Stage, volume_id: str) -> Refusal:
    with pytest.raises((Invalid, WrongState, OverQuota)) as caught:
        await begin(cloud, volume_id)
    assert (await cloud.one(schema.volume, volume_id)).status in ("in-use", "available")
    return caught.value


async def test_what_stays_where_it_is(cloud: Stage) -> None:
    disk = await a_disk(cloud)
    snapshot_id = await a_snapshot(cloud, disk.volume_id)
    assert (await refused(cloud, disk.volume_id)).rule == "retype-snapshots-other-pool"
    await cloud.db.write(lambda tx: tx.execute(sa.delete(schema.snapshot)))
    await cloud.db.write(lambda tx: quotas.give_back(tx, PROJECT, quota.of_snapshot(1, type_id=_type(tx, disk))))
    await cloud.world.pools["local"].delete(f"snf-snap-{snapshot_id}")
    for rule, changed in (
        ("retype-in-use-read-only", {"mode": "ro"}),
        ("retype-in-use-elsewhere", {"server_id": None}),
    ):
        before = await cloud.db.read(lambda tx: attachments.get(tx, disk.server_id, disk.volume_id))
        await cloud.db.write(lambda tx, row=before, to=changed: attachments.change(tx, row.id, **to))  # type: ignore[misc]
        assert (await refused(cloud, disk.volume_id)).rule == rule
        was = {name: getattr(before, name) for name in changed}
        await cloud.db.write(lambda tx, row=before, to=was: attachments.change(tx, row.id, **to))  # type: ignore[misc]
    await cloud.db.write(lambda tx: tx.execute(sa.update(schema.server).values(status="ERROR")))
    assert (await refused(cloud, disk.volume_id)).rule == "server-move_volume"
    await cloud.db.write(lambda tx: tx.execute(sa.update(schema.server).values(status="ACTIVE")))


def _type(tx: Tx, disk: Disk) -> str:
    return str(volumes.get(tx, disk.volume_id, None).volume_type_id)


async def test_the_quotas_of_both_types_hold(cloud: Stage) -> None:
    disk, other = await a_disk(cloud), await a_blank_volume(cloud)
    new = await cloud.db.read(lambda tx: volume_types.find(tx, OTHER_POOL_TYPE, None))
    of_new = quota.per_type(quota.VOLUMES, new.id)
    await cloud.db.write(lambda tx: quotas.set_limit(tx, PROJECT, of_new, 1))
    await begin(cloud, disk.volume_id)
    during = await used(cloud)
    assert (during[quota.VOLUMES], during[of_new]) == (3 - 1, 1)
    assert (await refused(cloud, other)).rule == "quota"
    await cloud.settle()
    after = await used(cloud)
    assert (after[quota.VOLUMES], after[of_new]) == (2, 1)
    standard = await cloud.db.read(lambda tx: volume_types.find(tx, "standard", None))
    assert after[quota.per_type(quota.VOLUMES, standard.id)] == 1
