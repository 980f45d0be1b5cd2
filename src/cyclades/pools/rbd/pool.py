"""The verbs of an RBD pool, as operations ask for them: the disk is held, the worker does the work."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from cyclades.model.errors import Failed, Fault, Invalid, Passing
from cyclades.model.names import OURS
from cyclades.pools import image_format
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
from cyclades.pools.rbd import content
from cyclades.pools.rbd.link import PATIENCE, Held, Link
from cyclades.pools.rbd.settings import RbdSettings
from cyclades.threads import in_thread

_log = structlog.get_logger()

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DEEPEST = 8  # clones on clones, before a volume is made to stand alone
_FLATTENING = "flatten-"  # begins the name of the lock under which a disk is made to stand alone


class RbdPool:
    """A pool (`pools.base.Pool`) in Ceph. `scratch`: a directory for what is copied in, removed right after. `deepest`:
    longer chains of clones are made shorter in the background. `patience`: seconds that Ceph may be silent."""

    engine = "rbd"

    def __init__(
        self,
        name: str,
        settings: RbdSettings,
        scratch: Path,
        *,
        deepest: int = _DEEPEST,
        patience: float = PATIENCE,
    ) -> None:
        self.name = name
        self._settings, self._scratch, self._deepest = settings, scratch, deepest
        self._link = Link(settings, patience=patience)
        self._flattening: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """End the worker. Blocks."""
        self._link.close()

    @asynccontextmanager
    async def _hold(self, disk: str) -> AsyncIterator[Held]:
        async with self._link.hold(_checked(disk)) as held:
            yield held

    async def create(self, disk: str, size: int) -> None:
        async with self._hold(disk) as held:
            await self._link.call("create", held=held, disk=disk, size=size)

    async def clone(self, disk: str, source: str, size: int) -> None:
        async with self._hold(disk) as held:
            depth = await self._link.call("clone", held=held, disk=disk, source=source, size=size)
        self._shorten(disk, depth)

    async def snapshot(self, disk: str, snapshot: str, live: FindLive) -> None:
        """RBD asks a QEMU that has the disk open by itself to hold its writes for a moment."""
        async with self._hold(disk) as held:
            await self._link.call("snapshot", held=held, disk=disk, snapshot=_checked(snapshot))

    async def revert(self, disk: str, snapshot: str, still: StillWanted = wanted) -> None:
        async with self._hold(disk) as held:
            await still()
            depth = await self._link.call("revert", held=held, disk=disk, snapshot=_checked(snapshot))
        self._shorten(disk, depth)

    async def extend(self, disk: str, size: int, live: FindLive = at_rest) -> None:
        async with self._hold(disk) as held:
            running = await live()
            if running is not None:
                await self._link.call("check_growth", held=held, disk=disk, size=size)
                await running.resize(size)
            await self._link.call("extend", held=held, disk=disk, size=size, live=running is not None)

    async def delete(self, disk: str, live: FindLive = at_rest, still: StillWanted = wanted) -> None:
        async with self._hold(await self._link.call("lock_of", disk=_checked(disk))) as held:
            await still()
            await self._link.call("delete", held=held, disk=disk)

    async def import_image(self, disk: str, source: Path, source_format: str, progress: Progress = no_progress) -> None:
        async with self._hold(disk) as held:
            if await self._link.call("find", disk=disk) is not None:
                return
            try:
                head = await in_thread(image_format.inspect, source, source_format)
            except Invalid as refusal:
                raise Failed(refusal.message) from refusal
            await self._take_in(held, disk, "image", head.virtual_size, source, source_format, progress)

    async def receive(self, disk: str, size: int, write: WriteFile, still: StillWanted = wanted) -> None:
        async with self._hold(disk) as held:
            await still()
            if await self._link.call("find", disk=disk) is not None:
                return
            with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
                file = Path(directory, "content.qcow2")
                await write(file, [])
                try:
                    present = (await in_thread(image_format.inspect, file, "qcow2")).virtual_size
                except Invalid as refusal:
                    raise Failed(refusal.message) from refusal
                if present > size:
                    raise Failed(f"A disk of {size} bytes is too small for its source, which has {present}.")
                await self._take_in(held, disk, "volume", size, file, "qcow2", no_progress)

    async def _take_in(
        self, held: Held, disk: str, kind: str, size: int, source: Path, source_format: str, progress: Progress
    ) -> None:
        new = await self._link.call("begin", held=held, disk=disk, size=size, kind=kind)
        if new is None:
            return
        try:
            await self._alive(content.fill(source, source_format, self._settings, new, size, progress))
            await self._link.call("finish", held=held, disk=disk, size=size, kind=kind)
        except BaseException:
            with contextlib.suppress(Fault):
                await asyncio.shield(self._link.call("abandon", held=held, disk=disk))
            raise

    async def _alive(self, copying: Any) -> None:
        """Copy while Ceph answers: a copy would wait for it without an end, and without saying why."""
        copy = asyncio.ensure_future(copying)
        try:
            while not (await asyncio.wait([copy], timeout=PATIENCE))[0]:
                await self._link.call("usage")
            await copy
        finally:
            if not copy.done():
                copy.cancel()
                await asyncio.wait([copy])

    async def export(
        self,
        disk: str,
        target: Path,
        target_format: str,
        progress: Progress = no_progress,
        *,
        fds: Sequence[int] = (),
    ) -> None:
        async with self._hold(disk) as held:
            found = await self._link.call("readable", held=held, disk=disk)
            image, snapshot = found["image"], found["snapshot"]
            await self._alive(
                content.take_out(self._settings, image, snapshot, target, target_format, progress, fds=fds)
            )

    async def rename(self, disk: str, name: str, still: StillWanted = wanted) -> None:
        holders = {await self._link.call("lock_of", disk=_checked(each)) for each in (disk, name)}
        async with AsyncExitStack() as held:
            for each in sorted(holders | {_checked(name)}):  # in one order, so that nobody waits in a circle
                last = await held.enter_async_context(self._hold(each))
            await still()
            await self._link.call("rename", held=last, disk=disk, name=name)

    async def adoptable(self) -> list[Adoptable]:
        return [Adoptable(**found) for found in await self._link.call("adoptable", ours=OURS)]

    async def adopt(self, disk: str, name: str, size: int, progress: Progress = no_progress) -> None:
        kind = await self._link.call("kind", disk=_checked(name))
        if kind not in (None, "volume"):
            raise Failed(f"{name} is not a volume's disk: it never changes.")
        await self.rename(name, disk)
        await self.extend(disk, size)

    @asynccontextmanager
    async def opening(self, disk: str) -> AsyncIterator[Blockdev]:
        async with self._hold(disk) as held:
            found = await self._link.call("writable", held=held, disk=disk)
            yield {
                "driver": "rbd",
                "pool": self._settings.ceph_pool,
                "image": found["image"],
                "conf": str(self._settings.ceph_conf.absolute()),
                "user": self._settings.node_user,
                # What one guest wrote, the others must read.
                "cache": {"direct": found["shared"]},
            }

    async def claim(self, disk: str, owner: str, generation: int, *, card: bool = False, shared: bool = False) -> None:
        await self._link.call(
            "claim", disk=_checked(disk), owner=owner, generation=generation, card=card, shared=shared
        )

    async def bind(self, disk: str, owner: str, generation: int, machine_disk: str) -> None:
        """The owner and its generation are all that is asked for here."""

    async def unbind(self, disk: str, owner: str, generation: int) -> None:
        await self._link.call("unbind", disk=_checked(disk), owner=owner, generation=generation)

    async def release(self, disk: str, owner: str, generation: int) -> None:
        await self._link.call("release", disk=_checked(disk), owner=owner, generation=generation)

    async def find(self, disk: str) -> DiskInfo | None:
        found = await self._link.call("find", disk=_checked(disk))
        return None if found is None else DiskInfo(**found)

    async def disks(self) -> list[DiskInfo]:
        return [DiskInfo(**found) for found in await self._link.call("disks")]

    async def usage(self) -> Usage:
        return Usage(**await self._link.call("usage"))

    async def strangers(self) -> list[Stranger]:
        return []

    async def tidy(self) -> list[str]:
        done: list[str] = []
        for disk in await self._link.call("leftovers", ours=OURS):
            with contextlib.suppress(Passing):  # somebody is at work on it
                async with self._link.hold(disk, patience=0) as held:
                    done += await self._link.call("settle", held=held, disk=disk)
        done += await self._link.call("empty_trash", ours=OURS)
        for disk in await self._link.call("deep", deepest=self._deepest):
            self._shorten(disk, self._deepest + 1)
        return done

    def _shorten(self, disk: str, depth: int) -> None:
        """Make a volume stand alone, beside whatever else goes on with it, if it is too deep."""
        if depth > self._deepest:
            task = asyncio.create_task(self._flatten(disk))
            self._flattening.add(task)
            task.add_done_callback(self._flattening.discard)

    async def _flatten(self, disk: str) -> None:
        told = -1

        async def progress(fraction: float) -> None:
            nonlocal told
            if (tenth := int(fraction * 10)) > told:
                told = tenth
                _log.info("rbd.flatten", pool=self.name, disk=disk, percent=tenth * 10)

        try:
            # Its own lock: the volume can be attached and written meanwhile.
            async with self._link.hold(_FLATTENING + disk, patience=0) as held:
                await self._link.call("flatten", progress, held=held, disk=disk)
        except Fault as fault:
            _log.info("rbd.flatten.later", pool=self.name, disk=disk, reason=str(fault))


def _checked(disk: str) -> str:
    if not _NAME.fullmatch(disk):
        raise Failed(f"{disk!r} cannot be the name of a disk.")
    return disk
