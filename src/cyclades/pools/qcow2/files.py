"""The files of a pool's layers: `layers/<layer id>.<format>`. All functions block, some for an fsync.

A file has its final name only once it is whole and on the disk, so a file that exists can be trusted,
whatever crashed. Frozen layers are read-only; a pool with a `group` gives its files to it, so that a QEMU
under another user can open them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cyclades.model.errors import Away, Failed, Full
from cyclades.pools.qcow2 import header

NEW = ".new"  # ends the name of a file that is being made
_FICLONE = 0x40049409
_QEMU_LOCKS = 100  # QEMU's image lock is on bytes of the file from here on
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux


class LayerFiles:
    def __init__(self, directory: Path, group: int | None) -> None:
        self.layers = directory / "layers"
        self.incoming = directory / "incoming"
        self.cards = directory / "cards"
        self._locks = directory / "locks"
        self._group = group

    def prepare(self) -> None:
        """Make the directories."""
        for path in (self.layers, self.cards, self._locks):
            path.mkdir(parents=True, exist_ok=True, mode=0o750)
        self.incoming.mkdir(exist_ok=True, mode=0o700)
        if self._group is not None:
            os.chown(self.layers, -1, self._group)

    def path(self, layer_id: str, file_format: str) -> Path:
        return self.layers / f"{layer_id}.{file_format}"

    def disk_lock(self, name: str) -> Path:
        return self._locks / f"disk-{name}"

    def layer_lock(self, layer_id: str) -> Path:
        return self._locks / f"layer-{layer_id}"

    def lock_files(self) -> list[Path]:
        return list(self._locks.iterdir())

    def make_empty(self, path: Path, size: int, backing: Path | None) -> None:
        """An empty layer to be written; kept if it is there."""
        if path.exists():
            return
        below = None if backing is None else (backing.name, backing.suffix[1:])
        with self.new(path) as (new, finish):
            header.write_empty(new, size, below)
            finish(True)

    @contextmanager
    def new(self, path: Path) -> Iterator[tuple[Path, Callable[[bool], None]]]:
        """Make the file at the path that is yielded, then call the function with whether it is to be written:
        it gives the file its name. Otherwise nothing is left of it."""
        new = path.with_name(path.name + NEW)

        def finish(written: bool) -> None:
            sync(new)
            self.set_written(new, written)
            new.rename(path)
            sync(path.parent)

        try:
            yield new, finish
        finally:
            new.unlink(missing_ok=True)

    def set_written(self, path: Path, written: bool) -> None:
        """Let the file be written, or only read."""
        if self._group is not None:
            os.chown(path, -1, self._group)
        path.chmod((0o660 if self._group is not None else 0o640) if written else 0o440)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        path.with_name(path.name + NEW).unlink(missing_ok=True)


def virtual_size(path: Path) -> int:
    """Bytes, as a guest sees them: by the file, since a crash may have come between it and the books."""
    return path.stat().st_size if path.suffix == ".raw" else header.virtual_size(path)


def used(path: Path) -> int:
    """Bytes that the file takes on the disk; 0 if it is not there."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def is_frozen(path: Path) -> bool:
    """Whether it is only to be read."""
    return not path.stat().st_mode & stat.S_IWUSR


def in_use(path: Path) -> bool:
    """Whether a QEMU (or qemu-img) has the file open."""
    with path.open("rb") as file:
        wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _QEMU_LOCKS, 0, 0)
        found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, wanted)
    kind: int = _FLOCK.unpack(found)[0]
    return kind != fcntl.F_UNLCK


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take_raw(source: Path, target: Path) -> bool:
    """Make `target` the same as `source`, without copying: by sharing its blocks or its inode. False where the
    file system can do neither."""
    try:
        with source.open("rb") as old, target.open("wb") as new:
            fcntl.ioctl(new, _FICLONE, old.fileno())
            return True
    except OSError:
        target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    return True


def space(directory: Path) -> tuple[int, int]:
    """Bytes in all and free."""
    usage = shutil.disk_usage(directory)
    return usage.total, usage.free


@contextmanager
def storage_faults() -> Iterator[None]:
    """Inside, what the file system refuses is a fault of the pool."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Full("The pool has no space left.") from error
        if error.errno in (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EROFS):
            raise Away(f"The pool's storage cannot be reached: {error.strerror}.") from error
        raise Failed(f"The pool's storage refuses: {error.strerror or error}.") from error
