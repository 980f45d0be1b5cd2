"""The verbs of a qcow2 pool."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from cyclades import flocks
from cyclades.model.errors import Failed, Invalid, Passing
from cyclades.model.names import OURS
from cyclades.pools import image_format, qemu_img
from cyclades.pools.base import (
    Adoptable,
    Blockdev,
    DiskInfo,
    FindLive,
    Progress,
    StillWanted,
    Stranger,
    Usage,
    WriteFile,
    at_rest,
    no_progress,
    wanted,
)
from cyclades.pools.qcow2 import cards, files, header, incoming, merge, switch
from cyclades.pools.qcow2.files import LayerFiles
from cyclades.pools.qcow2.layers import Layers, blockdev, in_thread
from cyclades.pools.qcow2.tidy import finish_removals, strangers, tidy
from cyclades.store import layers as rows
from cyclades.store.database import Database, Tx

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DEEPEST = 32  # layers under a name, before a volume's top is made to stand alone
_SHARE_OF_FREE = 0.9  # of the free space, for one image


class Qcow2Pool:
    """A pool (`pools.base.Pool`) in `directory`, which is made if it is not there. `group`: the id of the group
    that may open its files, for a QEMU that runs as another user (None: only this user)."""

    engine = "qcow2"

    def __init__(
        self, name: str, directory: Path, database: Database, *, group: int | None = None, deepest: int = _DEEPEST
    ) -> None:
        self.name = name
        self._db = database
        self._files = LayerFiles(directory.absolute(), group)
        self._files.prepare()
        self._layers = Layers(name, database, self._files)
        self._deepest = deepest

    async def create(self, disk: str, size: int) -> None:
        async with self._layers.hold_disk(_checked(disk)):
            await self._make_volume(disk, size, None)

    async def clone(self, disk: str, source: str, size: int) -> None:
        async with self._layers.hold_disk(_checked(disk)):
            await self._make_volume(disk, size, source)

    async def _make_volume(self, disk: str, size: int, source: str | None) -> None:
        row = await self._planned_volume(disk, size, source)
        if row.state == "making":
            await self._layers.make(row.layer_id)
            await self._db.write(lambda tx: rows.change(tx, row.layer_id, state="live"))

    async def _planned_volume(self, disk: str, size: int, source: str | None) -> Row[Any]:
        """The volume's row; new ones have a layer whose file is to be made."""

        def plan(tx: Tx) -> Row[Any]:
            row = rows.find(tx, self.name, disk)
            if row is None:
                layer_id = str(uuid.uuid4())
                parent_id = None if source is None else self._parent(tx, source, size)
                rows.add(tx, self.name, layer_id, size=size, parent_id=parent_id)
                rows.add_disk(tx, self.name, disk, layer_id, written=True)
                row = rows.find(tx, self.name, disk)
            assert row is not None
            return row

        row = await self._layers.find(disk)
        return await self._db.write(plan) if row is None else row

    async def receive(self, disk: str, size: int, write: WriteFile, still: StillWanted = wanted) -> None:
        async with self._layers.hold_disk(_checked(disk)) as lock:
            await still()
            row = await self._planned_volume(disk, size, None)
            if row.state != "making":
                return
            path = self._layers.head(row)
            if not path.exists():
                with self._files.new(path) as (new, finish):
                    await write(new, [lock])
                    await self._fit(new, size, lock)
                    await in_thread(finish, True)
            await self._db.write(lambda tx: rows.change(tx, row.layer_id, state="live"))

    async def _fit(self, path: Path, size: int, lock: int) -> None:
        present = await in_thread(header.virtual_size, path)
        if present > size:
            raise Failed(f"A disk of {size} bytes is too small for its source, which has {present}.")
        if present < size:
            await qemu_img.resize(path, size, fds=[lock])

    def _parent(self, tx: Tx, source: str, size: int) -> str:
        """The layer under a clone, kept from going away until the clone is a row."""
        row = rows.find(tx, self.name, source)
        if row is not None:
            rows.hold(tx, row.layer_id)
            row = rows.find(tx, self.name, source)
        if row is None or row.written or row.half or row.state != "live":
            raise Failed(f"The pool has no snapshot or image {source}.")
        if size < row.size:
            raise Failed(f"A disk of {size} bytes is too small for its source, which has {row.size}.")
        layer_id: str = row.layer_id
        return layer_id

    async def snapshot(self, disk: str, snapshot: str, live: FindLive) -> None:
        async with self._layers.hold_disk(_checked(disk)):
            volume = await self._layers.volume(disk)
            kept = await self._layers.find(_checked(snapshot))
            if kept is not None and not kept.half:
                return
            if kept is None or kept.layer_id != volume.layer_id:
                volume = await switch.settle(self._layers, volume, live)
                below = await self._bound_depth(volume, live)
                size = await in_thread(files.virtual_size, self._layers.head(volume))
                volume = await switch.plan(self._layers, volume, volume.layer_id, size, snapshot)
            else:
                below = None
            await switch.finish(self._layers, volume, await live())
        await merge.prune(self._layers, below, live)

    async def _bound_depth(self, volume: Row[Any], live: FindLive) -> str | None:
        """Before one more layer is put on a volume. Returns the layer that the volume left, if it did."""
        chain = await self._db.read(lambda tx: rows.chain(tx, volume.layer_id))
        if len(chain) < self._deepest:
            return None
        await merge.flatten(self._layers, volume, live)
        below: str = chain[1].id
        return below

    async def revert(self, disk: str, snapshot: str, still: StillWanted = wanted) -> None:
        async with self._layers.hold_disk(_checked(disk)):
            await still()
            volume = await self._layers.volume(disk)
            _refuse_owned(volume)
            volume = await switch.settle(self._layers, volume, at_rest)
            kept = await self._layers.find(_checked(snapshot))
            if kept is None or kept.written or kept.half or kept.state != "live":
                raise Failed(f"The pool has no snapshot {snapshot}.")
            size = await in_thread(files.virtual_size, self._layers.head(volume))
            if size < kept.size:
                raise Failed(f"The volume of {size} bytes is too small for the snapshot, which has {kept.size}.")
            planned = await switch.plan(self._layers, volume, kept.layer_id, size, None)
            await switch.finish(self._layers, planned, None)
        await merge.prune(self._layers, volume.layer_id, at_rest)

    async def extend(self, disk: str, size: int, live: FindLive = at_rest) -> None:
        async with self._layers.hold_disk(_checked(disk)) as disk_lock:
            volume = await switch.settle(self._layers, await self._layers.volume(disk), live)
            path = self._layers.head(volume)
            present = await in_thread(files.virtual_size, path)
            if size < max(present, volume.size):
                raise Failed(f"A disk of {present} bytes cannot shrink to {size}.")
            await cards.renew(self._layers, disk, size=size)
            running = await live()
            if running is not None:
                await running.resize(size)
            elif size > present:
                async with self._layers.hold_layer(volume.layer_id) as layer_lock:
                    await qemu_img.resize(path, size, fds=[disk_lock, layer_lock])
                    await in_thread(files.sync, path)
            await self._db.write(lambda tx: rows.change(tx, volume.layer_id, size=size))

    async def delete(self, disk: str, live: FindLive = at_rest, still: StillWanted = wanted) -> None:
        row = await self._layers.find(_checked(disk))
        if row is None:
            # A try before this one may have come as far as the name.
            await finish_removals(self._layers)
            return
        if row.half:
            await self._settle_volume_of(row.layer_id, live)
        async with self._layers.hold_disk(disk):
            await still()
            row = await self._layers.find(disk)
            if row is None:
                return
            if row.half:
                raise Passing("The snapshot is being taken.")
            if row.written:
                row = await self._ready_to_go(row)
                await cards.drop(self._layers, row)
            layer_id: str = row.layer_id
            verdict = await self._db.write(lambda tx: self._forget(tx, disk, layer_id))
            flocks.forget(self._files.disk_lock(disk))
        await merge.prune(self._layers, layer_id, live, verdict)

    async def _settle_volume_of(self, layer_id: str, live: FindLive) -> None:
        """End the snapshot that is half done on this layer."""
        volume = await self._db.read(lambda tx: rows.volume_of(tx, layer_id))
        if volume is not None:
            async with self._layers.hold_disk(volume.name):
                await switch.settle(self._layers, await self._layers.volume(volume.name), live)

    async def _ready_to_go(self, volume: Row[Any]) -> Row[Any]:
        _refuse_owned(volume)
        if volume.state != "live":
            return volume
        volume = await switch.settle(self._layers, volume, at_rest)
        path = self._layers.head(volume)
        if path.exists() and await in_thread(files.in_use, path):
            raise Passing("The volume's disk is open in a QEMU.")
        return volume

    def _forget(self, tx: Tx, disk: str, layer_id: str) -> merge.Verdict:
        rows.remove_disk(tx, self.name, disk)
        return merge.judge(tx, layer_id)

    async def import_image(self, disk: str, source: Path, source_format: str, progress: Progress = no_progress) -> None:
        def plan(tx: Tx) -> Row[Any]:
            row = rows.find(tx, self.name, disk)
            if row is None:
                layer_id = str(uuid.uuid4())
                rows.add(tx, self.name, layer_id, size=head.virtual_size, file_format=source_format)
                rows.add_disk(tx, self.name, disk, layer_id, written=False)
                row = rows.find(tx, self.name, disk)
            assert row is not None
            return row

        async with self._layers.hold_disk(_checked(disk)) as lock:
            found = await self._layers.find(disk)
            if found is not None and found.state != "making":
                return
            try:
                head = await in_thread(image_format.inspect, source, source_format)
            except Invalid as refusal:
                raise Failed(refusal.message) from refusal
            row = await self._db.write(plan) if found is None else found
            path = self._layers.head(row)
            if not path.exists():
                await self._import_file(source, source_format, path, head.virtual_size, [lock], progress)
            await self._db.write(lambda tx: rows.change(tx, row.layer_id, state="live"))

    async def _import_file(
        self, source: Path, source_format: str, path: Path, size: int, fds: list[int], progress: Progress
    ) -> None:
        with self._files.new(path) as (new, finish):
            if source_format != "raw" or not await in_thread(files.take_raw, source, new):
                # Into a file of our own making: a guest's QEMU opens none whose metadata a user wrote.
                _, free = files.space(self._files.layers)
                limits = qemu_img.copy_limits(size, int(free * _SHARE_OF_FREE))
                await qemu_img.convert(
                    source.absolute(), source_format, new, source_format, limits=limits, fds=fds, progress=progress
                )
            await in_thread(finish, False)

    async def export(
        self,
        disk: str,
        target: Path,
        target_format: str,
        progress: Progress = no_progress,
        *,
        fds: Sequence[int] = (),
    ) -> None:
        async with self._layers.hold_disk(_checked(disk), shared=True) as lock, AsyncExitStack() as held:
            row = await self._layers.find(disk)
            if row is None or row.half or row.state != "live":
                raise Failed(f"The pool has no disk {disk}.")
            if row.next_layer_id is not None:
                raise Passing("A snapshot of the volume is being taken.")
            chain, locks = await self._layers.hold_chain(held, row.layer_id)
            if row.written and await in_thread(files.in_use, chain[0]):
                raise Passing("The volume's disk is open in a QEMU.")
            await qemu_img.convert(
                chain[0], row.format, target.absolute(), target_format, fds=[lock, *locks, *fds], progress=progress
            )
            await in_thread(files.sync, target)

    async def rename(self, disk: str, name: str, still: StillWanted = wanted) -> None:
        async with AsyncExitStack() as held:
            for each in sorted({_checked(disk), _checked(name)}):  # in one order, so that nobody waits in a circle
                await held.enter_async_context(self._layers.hold_disk(each))
            await still()
            row, other = await self._layers.find(disk), await self._layers.find(name)
            if row is None:
                if other is None:
                    raise Failed(f"The pool has no disk {disk}.")
                return
            if other is not None:
                raise Failed(f"The pool has a disk {name} already.")
            if row.half or row.state != "live":
                raise Passing("The disk is being made.")
            if row.written:
                await cards.drop(self._layers, await self._ready_to_go(row))
            await self._db.write(lambda tx: rows.rename_disk(tx, self.name, disk, name))
            flocks.forget(self._files.disk_lock(disk))

    async def adoptable(self) -> list[Adoptable]:
        found = await self._db.read(lambda tx: rows.disks(tx, self.name))
        disks = [
            Adoptable(row.name, row.size, row.snapshot_of)
            for row in found
            if not row.name.startswith(OURS) and row.state == "live" and not row.half
        ]
        return disks + await in_thread(incoming.files, self._files.incoming)

    async def adopt(self, disk: str, name: str, size: int, progress: Progress = no_progress) -> None:
        source = incoming.path_of(self._files.incoming, name)
        if source is None:
            row = await self._layers.find(_checked(name))
            if row is not None and not row.written:
                raise Failed(f"{name} is not a volume's disk: it never changes.")
            await self.rename(name, disk)
            await self.extend(disk, size)
            return

        async def copy(target: Path, fds: Sequence[int]) -> None:
            free = (await in_thread(files.space, self._files.layers))[1]
            await incoming.copy(source, target, most=int(free * _SHARE_OF_FREE), fds=fds, progress=progress)

        await self.receive(disk, size, copy)
        await in_thread(source.unlink, missing_ok=True)

    @asynccontextmanager
    async def opening(self, disk: str) -> AsyncIterator[Blockdev]:
        async with self._layers.hold_disk(_checked(disk)), AsyncExitStack() as held:
            volume = await switch.settle(self._layers, await self._layers.volume(disk), at_rest)
            chain, _ = await self._layers.hold_chain(held, volume.layer_id)
            if missing := [path.name for path in chain if not path.exists()]:
                raise Failed(f"The disk is damaged: layer {missing[0]} is missing.")
            await _refuse_frozen(chain[0])
            yield blockdev(chain[0])

    async def claim(self, disk: str, owner: str, generation: int, *, card: bool = False, shared: bool = False) -> None:
        def change(tx: Tx) -> None:
            if not rows.claim(tx, self.name, disk, owner, generation):
                row = rows.find(tx, self.name, disk)
                if row is None:
                    raise Failed(f"The pool has no volume {disk}.")
                if row.owner not in (None, owner):
                    raise Failed(f"The volume's disk belongs to server {row.owner}.")
                raise Failed("The volume was attached anew since.")

        await self._db.write(change)
        if card or await cards.exists(self._layers, disk):
            async with self._layers.hold_disk(disk):
                volume = await switch.settle(self._layers, await self._layers.volume(disk), at_rest)
                await _refuse_frozen(self._layers.head(volume))
                await cards.write(self._layers, volume)

    async def bind(self, disk: str, owner: str, generation: int, machine_disk: str) -> None:
        async with self._layers.hold_disk(_checked(disk)):
            volume = await self._layers.find(disk)
            if volume is None or (volume.owner, volume.generation) != (owner, generation):
                raise Failed("The volume's disk is not this server's any more.")
            await cards.bind(self._layers, volume, machine_disk)

    async def unbind(self, disk: str, owner: str, generation: int) -> None:
        async with self._layers.hold_disk(_checked(disk)):
            volume = await self._layers.find(disk)
            if volume is not None and (volume.owner, volume.generation) == (owner, generation):
                await cards.require_closed(self._layers, volume)
                await cards.unbind(self._layers, volume)

    async def release(self, disk: str, owner: str, generation: int) -> None:
        if not await cards.exists(self._layers, _checked(disk)):
            await self._db.write(lambda tx: rows.release(tx, self.name, disk, owner, generation))
            return
        async with self._layers.hold_disk(disk):
            volume = await self._layers.find(disk)
            if volume is not None and volume.owner == owner and volume.generation <= generation:
                await cards.require_closed(self._layers, volume)
                await self._db.write(lambda tx: rows.release(tx, self.name, disk, owner, generation))
                volume = await self._layers.find(disk)
            if volume is not None and volume.owner is None:
                await cards.write(self._layers, volume)
                await cards.unbind(self._layers, volume)

    async def find(self, disk: str) -> DiskInfo | None:
        row = await self._layers.find(disk)
        if row is None or row.half or row.state != "live":
            return None
        return await in_thread(self._info, row)

    async def disks(self) -> list[DiskInfo]:
        found, layers = await self._db.read(lambda tx: (rows.disks(tx, self.name), rows.layers(tx, self.name)))
        return await in_thread(self._infos, [row for row in found if row.state == "live" and not row.half], layers)

    def _infos(self, found: list[Row[Any]], layers: dict[str, Row[Any]]) -> list[DiskInfo]:
        files_there = {path.name for path in self._files.layers.iterdir()}
        infos = []
        for row in found:
            layer, missing = layers.get(row.layer_id), None
            while layer is not None and missing is None:
                name = self._layers.path(layer).name
                missing = None if name in files_there else name
                layer = layers.get(layer.parent_id)
            infos.append(replace(self._info(row), missing=missing))
        return infos

    def _info(self, row: Row[Any]) -> DiskInfo:
        used = files.used(self._layers.head(row))
        return DiskInfo(row.name, row.size, used, row.owner, row.generation)

    async def files(self, disk: str) -> list[Path]:
        """The files of a disk, the top first: who opens it must be able to write the first and read the others."""
        row = await self._layers.volume(disk)
        return [self._layers.path(layer) for layer in await self._db.read(lambda tx: rows.chain(tx, row.layer_id))]

    async def usage(self) -> Usage:
        total, free = await in_thread(files.space, self._files.layers)
        return Usage(total, free, await self._db.read(lambda tx: rows.promised(tx, self.name)))

    async def strangers(self) -> list[Stranger]:
        return await strangers(self._layers)

    async def tidy(self) -> list[str]:
        return await tidy(self._layers)


async def _refuse_frozen(head: Path) -> None:
    """A volume's file can be written, unless the books are older than it: then a newer layer stands on it, which a
    write to this one would spoil."""
    if await in_thread(lambda: head.exists() and files.is_frozen(head)):
        raise Failed(f"Layer {head.name} of the disk is frozen: the database is older than the pool.")


def _refuse_owned(volume: Row[Any]) -> None:
    if volume.owner is not None:
        raise Failed(f"The volume's disk belongs to server {volume.owner}.")


def _checked(disk: str) -> str:
    """Names become names of lock files."""
    if not _NAME.fullmatch(disk):
        raise Failed(f"{disk!r} cannot be the name of a disk.")
    return disk
