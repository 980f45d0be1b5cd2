"""Files that the operator dropped into a pool's directory `incoming`, to be adopted as volumes. Nobody says what they
are: each is looked at as a user's image is, before any program of QEMU's opens it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cyclades.model.errors import Failed, Invalid
from cyclades.pools import image_format, qemu_img
from cyclades.pools.base import Adoptable, Progress
from cyclades.pools.qcow2.layers import in_thread

_PREFIX = "incoming/"  # of a file's name among what can be adopted: no disk's name has a slash
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


def path_of(directory: Path, name: str) -> Path | None:
    """The file that is called `name`; None if that is a disk's name."""
    if not name.startswith(_PREFIX):
        return None
    file = name.removeprefix(_PREFIX)
    if not _FILE.fullmatch(file):
        raise Failed(f"{name!r} cannot be the name of a file to adopt.")
    return directory / file


def files(directory: Path) -> list[Adoptable]:
    """Each with what its header says. Blocks."""
    return [_look(path) for path in sorted(directory.iterdir()) if _FILE.fullmatch(path.name)]


def _look(path: Path) -> Adoptable:
    name = _PREFIX + path.name
    try:
        return Adoptable(name, _inspect(path).virtual_size)
    except Invalid as refusal:
        return Adoptable(name, 0, reason=refusal.message)
    except OSError as error:
        return Adoptable(name, 0, reason=f"It cannot be read: {error.strerror}.")


def _inspect(path: Path) -> image_format.ImageHeader:
    if path.is_symlink() or not path.is_file():
        raise Invalid("incoming-file", "It is not a file.")
    return image_format.inspect(path)


async def copy(source: Path, target: Path, *, most: int, fds: Sequence[int], progress: Progress) -> None:
    """Write the file's content to `target` as a qcow2 of at most `most` bytes."""
    try:
        head = await in_thread(_inspect, source)
        await qemu_img.check(source, head.format)
    except Invalid as refusal:
        raise Failed(refusal.message) from refusal
    limits = qemu_img.copy_limits(head.virtual_size, most)
    await qemu_img.convert(source, head.format, target, "qcow2", limits=limits, fds=fds, progress=progress)
