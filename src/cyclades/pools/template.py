"""Disks that Ganeti makes by itself, with one of its disk templates, where a pool would stand.

There is no disk before a server gets it: the cluster makes it when it is added to an instance. Such a disk is written
and read by its instance alone, so there are no snapshots, clones or copies: rules refuse those before they come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from cyclades.backends.base import Backend
from cyclades.model.errors import Failed
from cyclades.model.names import volume_of
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
from cyclades.store import backend_disks
from cyclades.store.database import Database


class TemplatePool:
    """`pools.base.Pool` for the disks of one template: `engine` is its name, with a provider's after it
    (`ext/archipelago`, `ext/local/bound`). `backends` are where its disks are."""

    def __init__(self, name: str, engine: str, database: Database, backends: Mapping[str, Backend]) -> None:
        self.name, self.engine = name, engine
        self._db = database
        self._backends = backends

    async def create(self, disk: str, size: int) -> None:
        """Nothing yet."""

    async def delete(self, disk: str, live: FindLive = at_rest, still: StillWanted = wanted) -> None:
        volume_id = volume_of(disk)
        row = await self._db.read(lambda tx: backend_disks.of_volume(tx, volume_id))
        if row is None:
            return
        if row.server_id is not None:
            raise Failed(f"The volume's disk belongs to server {row.server_id}.")
        await still()
        await self._backends[row.backend].delete_disk(volume_id, row.uuid)

    async def extend(self, disk: str, size: int, live: FindLive = at_rest) -> None:
        """One that no machine has open is grown when its backend is told (`Backend.grown`), or made so large."""
        if (running := await live()) is not None:
            await running.resize(size)

    async def claim(self, disk: str, owner: str, generation: int, *, card: bool = False, shared: bool = False) -> None:
        """The cluster itself lets one instance have a disk."""

    async def bind(self, disk: str, owner: str, generation: int, machine_disk: str) -> None:
        raise self._refusal()

    async def unbind(self, disk: str, owner: str, generation: int) -> None:
        """As with `claim`."""

    async def release(self, disk: str, owner: str, generation: int) -> None:
        """As with `claim`."""

    async def find(self, disk: str) -> DiskInfo | None:
        volume_id = volume_of(disk)
        row = await self._db.read(lambda tx: backend_disks.of_volume(tx, volume_id))
        if row is None:
            return None
        owner = None if row.server_id is None else f"{row.backend}/{row.server_id}"
        return DiskInfo(disk, row.size, row.size, owner, row.generation)

    async def disks(self) -> list[DiskInfo]:
        """Those are in the clusters' books, not here."""
        return []

    async def adoptable(self) -> list[Adoptable]:
        return []

    async def usage(self) -> Usage:
        raise self._refusal()

    async def strangers(self) -> list[Stranger]:
        return []

    async def tidy(self) -> list[str]:
        return []

    # --- what rules refuse before it comes here ---------------------------------------------------

    async def clone(self, disk: str, source: str, size: int) -> None:
        raise self._refusal()

    async def snapshot(self, disk: str, snapshot: str, live: FindLive) -> None:
        raise self._refusal()

    async def revert(self, disk: str, snapshot: str, still: StillWanted = wanted) -> None:
        raise self._refusal()

    async def import_image(self, disk: str, source: Path, source_format: str, progress: Progress = no_progress) -> None:
        raise self._refusal()

    async def export(
        self,
        disk: str,
        target: Path,
        target_format: str,
        progress: Progress = no_progress,
        *,
        fds: Sequence[int] = (),
    ) -> None:
        raise self._refusal()

    async def receive(self, disk: str, size: int, write: WriteFile, still: StillWanted = wanted) -> None:
        raise self._refusal()

    async def rename(self, disk: str, name: str, still: StillWanted = wanted) -> None:
        raise self._refusal()

    async def adopt(self, disk: str, name: str, size: int, progress: Progress = no_progress) -> None:
        raise self._refusal()

    def opening(self, disk: str) -> AbstractAsyncContextManager[Blockdev]:
        raise self._refusal()

    def _refusal(self) -> Failed:
        return Failed(f"Ganeti's disk template {self.engine} does not offer this.")
