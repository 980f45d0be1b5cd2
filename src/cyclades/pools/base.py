"""The interface of a pool: storage that Cyclades itself drives.

A pool keeps *disks*, each under a name (`model.names`): volumes, which are written, and snapshots and
images, which never change. All sizes are bytes. Every method may be repeated, also after a crash in its
middle and also at the same time from another process, with the same outcome; `delete` of what is not
there is a success. What a pool shares between disks (layers, parents) is its own affair: a snapshot or
an image with clones can be deleted at any time, and its space is freed with the last clone.

Errors: `Full` when space runs out, `Passing` when something is busy, `Away` when the storage cannot be
reached, `Failed` for the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

# A QEMU `blockdev-add` description without `node-name`: how a QEMU on this machine opens a disk.
Blockdev = dict[str, Any]

# Told now and then how far a long copy is, from 0.0 to 1.0.
Progress = Callable[[float], Awaitable[None]]


async def no_progress(fraction: float) -> None:
    """For copies whose progress nobody follows."""


class LiveDisk(Protocol):
    """A disk that a running QEMU has open, as the backend lets a pool reach it.

    A `layer` is the `Blockdev` of one qcow2 file; files are compared by their path.
    """

    async def top(self) -> str:
        """The path of the file that the guest's writes go to now."""
        ...

    async def switch(self, overlay: Blockdev) -> None:
        """Let new writes go to `overlay`, an empty layer made on top of the present one. Repeatable."""
        ...

    async def resize(self, size: int) -> None:
        """Grow to `size` bytes, the file included, and let the guest see it. Repeatable."""
        ...

    async def pull(self, base: str | None, progress: Progress) -> None:
        """Copy into the top layer what lies between it and the layer at path `base` (None: everything
        below), so that afterwards its backing file is `base`. Returns when done and flushed to the disk, since the
        layers between are removed then (QEMU's block-stream does not flush by itself). Repeatable."""
        ...


# Asked while the disk is held: the running QEMU that has it open, or None when it is at rest.
FindLive = Callable[[], Awaitable[LiveDisk | None]]


async def at_rest() -> LiveDisk | None:
    """For a disk that is known to be plugged nowhere."""
    return None


# Asked while a disk is held, before it changes: raises if the change is no longer wanted.
StillWanted = Callable[[], Awaitable[None]]


async def wanted() -> None:
    """For changes that nobody can have overtaken."""


# Writes a whole qcow2 to the path that it is given. The descriptors are kept open in whatever program writes.
WriteFile = Callable[[Path, Sequence[int]], Awaitable[None]]


@dataclass(frozen=True)
class DiskInfo:
    """One disk of a pool. `size` is what a guest sees, `used` the bytes that are this disk's own. `missing` is a part
    of it that the storage has lost; only `disks` looks for that."""

    name: str
    size: int
    used: int
    owner: str | None
    generation: int
    missing: str | None = None


@dataclass(frozen=True)
class Adoptable:
    """What lies in a pool's storage and is not Cyclades' own. `size` is what a guest would see, in bytes;
    `snapshot_of` names the disk that a snapshot was taken of (None: it is no snapshot); `reason` says why it cannot
    be adopted (None: it can)."""

    name: str
    size: int
    snapshot_of: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Stranger:
    """A file in a pool's own storage of which the books know nothing, as after an older state of them was restored.
    `used` is bytes; `stands_on` is the file below it."""

    name: str
    used: int
    stands_on: str | None = None


@dataclass(frozen=True)
class Usage:
    """Bytes: of the storage in all, free now, and promised to disks if all were full."""

    total: int
    free: int
    promised: int


class Pool(Protocol):
    name: str
    engine: str  # "qcow2" or "rbd"

    async def create(self, disk: str, size: int) -> None:
        """An empty disk: reads as zeros."""
        ...

    async def clone(self, disk: str, source: str, size: int) -> None:
        """A disk with the content of `source`, a snapshot or an image, and zeros after it; thin.
        `Failed` if `size` is smaller than the source's."""
        ...

    async def snapshot(self, disk: str, snapshot: str, live: FindLive) -> None:
        """Keep the present content of `disk` under the name `snapshot`; crash-consistent when in use."""
        ...

    async def revert(self, disk: str, snapshot: str, still: StillWanted = wanted) -> None:
        """Give `disk`, at rest, the content of `snapshot` again, or of an image; it keeps its size, with zeros at
        its end. `Failed` if it is smaller than the snapshot."""
        ...

    async def extend(self, disk: str, size: int, live: FindLive = at_rest) -> None:
        """Grow `disk` to `size`: zeros after the old end. A QEMU that has it open grows it itself
        (`LiveDisk.resize`). Never shrinks (`Failed`)."""
        ...

    async def delete(self, disk: str, live: FindLive = at_rest, still: StillWanted = wanted) -> None:
        """Forget a disk, of any kind. Space that no other disk shares is free when this returns.
        For a snapshot, `live` finds the QEMU that has its volume open, so that layers can be merged."""
        ...

    async def import_image(self, disk: str, source: Path, source_format: str, progress: Progress = no_progress) -> None:
        """Take in the file of an image (`raw` or `qcow2`, checked before) as the disk `disk`."""
        ...

    async def export(
        self,
        disk: str,
        target: Path,
        target_format: str,
        progress: Progress = no_progress,
        *,
        fds: Sequence[int] = (),
    ) -> None:
        """Write a snapshot or an image, or a volume at rest, out as one file (`raw` or `qcow2`). `fds` are kept open
        in the program that writes, so that a lock on one lasts as long as it runs."""
        ...

    async def receive(self, disk: str, size: int, write: WriteFile, still: StillWanted = wanted) -> None:
        """A volume of `size` bytes with the content that `write` writes, and zeros after it; `write` is not called
        if the volume is there. `Failed` if `size` is smaller than what was written."""
        ...

    async def rename(self, disk: str, name: str, still: StillWanted = wanted) -> None:
        """Call a snapshot, or a volume at rest, by another name; its generation begins anew. `Failed` if the new
        name is another disk's."""
        ...

    async def adoptable(self) -> list[Adoptable]:
        """What could be adopted: disks whose names do not begin with `model.names.OURS`, and whatever else the
        operator put where this pool looks for disks."""
        ...

    async def adopt(self, disk: str, name: str, size: int, progress: Progress = no_progress) -> None:
        """Make what `adoptable` calls `name`, and is no snapshot, the volume `disk` of `size` bytes, with zeros after
        its end. It is then no longer there under its own name. `Failed` if it cannot be used."""
        ...

    def opening(self, disk: str) -> AbstractAsyncContextManager[Blockdev]:
        """Hold a volume while a QEMU opens it: inside, the layer that must be written to cannot change."""
        ...

    async def claim(self, disk: str, owner: str, generation: int, *, card: bool = False, shared: bool = False) -> None:
        """Make `owner` (`<backend>/<server id>`) the only one who may open the disk, for the attachment of
        this `generation`. `Failed` if another owns it; an older generation than the last seen is `Failed`.
        `shared`: others who claim it so may open it as well (asked only of pools that offer `multiattach`); `find` then
        shows one of them.
        `card`: the machines that run the owner learn it from the pool's storage, since they do not ask us."""
        ...

    async def bind(self, disk: str, owner: str, generation: int, machine_disk: str) -> None:
        """For a claim with a card, of a disk that came from another pool with its attachment: what its machine had
        plugged in (`machine_disk` is the machine's id of it) has this disk now, and nobody plugs it in first."""
        ...

    async def unbind(self, disk: str, owner: str, generation: int) -> None:
        """What a machine plugs in first by an attachment keeps the disk to itself. After it is proven that it was taken
        away again, let another be the first. Nothing happens if another owner or generation holds the disk; `Passing`
        while some program still has it open."""
        ...

    async def release(self, disk: str, owner: str, generation: int) -> None:
        """After the unplug is proven. Nothing happens if another owner or a newer generation holds the disk. `Passing`
        if a machine that learns from the pool's storage still has it open."""
        ...

    async def find(self, disk: str) -> DiskInfo | None: ...

    async def disks(self) -> list[DiskInfo]: ...

    async def strangers(self) -> list[Stranger]:
        """Nobody removes them but an operator. A pool whose storage keeps its own books has none."""
        ...

    async def usage(self) -> Usage: ...

    async def tidy(self) -> list[str]:
        """Finish what crashes left half done (files that were being made, merges that were not possible
        earlier), at rest only. Returns what was done, one line each."""
        ...
