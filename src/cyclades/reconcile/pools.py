"""The disks of one pool: each has its owner, each owner its disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model.names import OURS, image_disk, snapshot_disk, volume_disk
from cyclades.model.status import HAS_DISK
from cyclades.model.units import GIB
from cyclades.operations import pool_disk_delete, volume_reset, volume_unplug
from cyclades.operations.base import World
from cyclades.operations.server_spec import owner
from cyclades.pools.base import DiskInfo, Pool, Stranger
from cyclades.reconcile.difference import CallerFor, Difference, Mending, touched
from cyclades.reconcile.servers import size_differs
from cyclades.store import operations, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import attachment, image, server, snapshot, volume

_LOST = "The pool has lost the volume's disk."
_KEEP = "What it holds is newer than the database, which was restored: docs/back-up.md says how to take it over."
_RESTORE = "What was on it is lost, unless you put it back from a backup. Then delete it."


async def look(world: World, pool: Pool) -> list[Difference]:
    """What is not as it should be; `Fault` if the pool does not answer."""
    rows = await world.db.read(lambda tx: _Rows(tx, pool.name))
    disks = {disk.name: disk for disk in await pool.disks()}
    of_nobody = [_unknown(pool.name, one) for one in await pool.strangers()]
    return [*_Comparison(world, pool.name, rows, disks).all(), *of_nobody]


def _unknown(pool: str, one: Stranger) -> Difference:
    """Some disk of ours, by books that are newer than these."""
    found = f"{one.used} bytes" + (f", stands on {one.stands_on}" if one.stands_on else "")
    return Difference("pool-file-unknown", f"file {one.name}", pool, "the books do not know it", found, _KEEP)


class _Rows:
    """What the database says of a pool. `busy` are the ids of open operations, and those that they are about."""

    def __init__(self, tx: Tx, pool: str) -> None:
        open_ones = operations.open_ones(tx)
        self.busy = {row.id for row in open_ones} | {row.resource_id for row in open_ones}
        mine = volume.c.pool == pool
        self.volumes = _alive(tx, volume, sa.select(volume).where(mine))
        of_volumes = sa.select(snapshot).join(volume, volume.c.id == snapshot.c.volume_id).where(mine)
        self.snapshots = _alive(tx, snapshot, of_volumes)
        self.images = _alive(tx, image, sa.select(image))
        plugs = sa.select(attachment, server.c.backend).join(server, server.c.id == attachment.c.server_id)
        plugs = plugs.join(volume, volume.c.id == attachment.c.volume_id).where(mine)
        self.plugs: dict[str, list[Row[Any]]] = {}
        for row in _alive(tx, attachment, plugs):
            self.plugs.setdefault(row.volume_id, []).append(row)


def _alive(tx: Tx, table: sa.Table, query: sa.Select[Any]) -> list[Row[Any]]:
    return list(tx.execute(query.where(table.c.deleted_at.is_(None))).all())


class _Comparison:
    def __init__(self, world: World, place: str, rows: _Rows, disks: dict[str, DiskInfo]) -> None:
        self.world, self.place, self.rows, self.disks = world, place, rows, disks

    def all(self) -> Iterator[Difference]:
        for row in self.rows.volumes:
            plugs = self.rows.plugs.get(row.id, [])
            if not self._is_busy(row) and not any(one.operation_id for one in plugs):
                yield from self._volume(row, plugs)
        for row in self.rows.snapshots:
            if row.status == "available" and not self._is_busy(row):
                yield from self._lost(f"snapshot {row.id}", row.status, snapshot_disk(row.id))
        for row in self.rows.images:
            # The bytes of these are in their pool alone.
            if row.pool == self.place and row.checksum is None and row.status == "active" and not self._is_busy(row):
                yield from self._lost(f"image {row.id}", row.status, image_disk(row.id))
        yield from self._unowned()

    def _is_busy(self, row: Row[Any]) -> bool:
        return row.operation_id is not None or row.id in self.rows.busy

    def _lost(self, resource: str, status: str, name: str, *mendings: Mending) -> Iterator[Difference]:
        disk = self.disks.get(name)
        if disk is None or disk.missing is not None:
            found = "no such disk" if disk is None else f"the file {disk.missing} is gone"
            advice = None if mendings else _RESTORE
            yield Difference("pool-disk-missing", resource, self.place, status, found, advice, mendings)

    def _volume(self, row: Row[Any], plugs: list[Row[Any]]) -> Iterator[Difference]:
        resource, name = f"volume {row.id}", volume_disk(row.id)
        if row.status in HAS_DISK:

            def set_in_error(tx: Tx, settings: Settings, caller: CallerFor) -> None:
                now_there = volumes.hold(tx, row.id, None)
                if now_there.operation_id is not None or now_there.status != row.status:
                    raise touched(resource)
                volume_reset.start(tx, caller(row.project_id), row.id, status="error")
                volumes.change(tx, row.id, reason=_LOST)

            free = row.status == "available"
            yield from self._lost(
                resource, row.status, name, *([Mending("pool-disk-missing", set_in_error)] if free else [])
            )
        disk = self.disks.get(name)
        if disk is None or disk.missing is not None:
            return
        if row.status in HAS_DISK and disk.size != row.size * GIB:
            yield size_differs(resource, self.place, row.id, row.project_id, row.size * GIB, disk.size)
        yield from self._owner(row, plugs, disk)

    def _owner(self, row: Row[Any], plugs: list[Row[Any]], disk: DiskInfo) -> Iterator[Difference]:
        resource, due = f"volume {row.id}", [owner(one.backend, one.server_id) for one in plugs]
        if disk.owner in due or (disk.owner is None and not due):
            return
        recorded = f"attached to {', '.join(due)}" if due else "not attached"
        found = "belongs to nobody" if disk.owner is None else f"belongs to {disk.owner}"
        if due or disk.owner is None:
            advice = "Detach the volume and attach it again, or stop its server and start it."
            yield Difference("pool-owner", resource, self.place, recorded, found, advice)
            return
        backend, _, server_id = disk.owner.partition("/")
        if backend not in set(self.world.backends):
            advice = f"There is no backend {backend}. If nothing of it can reach the disk, delete the volume by force."
            yield Difference("pool-owner", resource, self.place, recorded, found, advice)
            return

        def set_free(tx: Tx, settings: Settings, caller: CallerFor) -> None:
            volume_unplug.start(tx, caller(row.project_id), backend, server_id, row.id, disk.generation)

        yield Difference("pool-owner", resource, self.place, recorded, found, None, (Mending("pool-owner", set_free),))

    def _unowned(self) -> Iterator[Difference]:
        owned = {volume_disk(row.id) for row in self.rows.volumes} | {image_disk(row.id) for row in self.rows.images}
        owned |= {snapshot_disk(row.id) for row in self.rows.snapshots}
        for name, disk in self.disks.items():
            # A new disk's row is older than the disk; that of an old one goes last.
            if name.startswith(OURS) and name not in owned and not any(name.endswith(one) for one in self._ends(name)):
                yield self._of_nobody(disk)

    def _ends(self, name: str) -> set[str]:
        """The id in a disk's name, if an operation is at work on it."""
        return {name[-36:]} & self.rows.busy

    def _of_nobody(self, disk: DiskInfo) -> Difference:
        def delete(tx: Tx, settings: Settings, caller: CallerFor) -> None:
            pool_disk_delete.start(tx, caller(""), self.place, disk.name)

        found = f"{disk.size} bytes, {disk.used} used" + (f", belongs to {disk.owner}" if disk.owner else "")
        return Difference(
            "pool-disk-unowned",
            f"disk {disk.name}",
            self.place,
            "nobody has such a disk",
            found,
            mendings=(Mending("pool-disk-unowned", delete),),
        )
