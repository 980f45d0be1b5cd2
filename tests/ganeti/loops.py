"""Loop devices belong to the whole machine: those that nodes made outlive them."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

_CLEAR = 0x4C01  # LOOP_CLR_FD: at once, or as soon as nobody has it open
_STATUS = 0x4C05  # LOOP_GET_STATUS64
_STATUS_BYTES = 232


def over(directory: Path) -> list[str]:
    """The loop devices, such as `/dev/loop0`, over files below this directory, and those over a file of a FUSE file
    system that nobody serves any more, which can do nothing but fail."""
    files = {os.lstat(os.path.join(top, name)).st_ino for top, _, names in os.walk(directory) for name in names}
    found = []
    for device in sorted(Path("/sys/block").glob("loop*")):
        with suppress(OSError):  # it has no file
            path = (device / "loop" / "backing_file").read_text().strip()
            name = f"/dev/{device.name}"
            if path.startswith(f"{directory}/") or _inode(name) in files or (path == "/" and not _reads(name)):
                found.append(name)
    return found


def free(directory: Path) -> None:
    """Detach them."""
    for name in over(directory):
        number = os.open(name, os.O_RDONLY)
        try:
            fcntl.ioctl(number, _CLEAR)
        finally:
            os.close(number)


def _inode(name: str) -> int:
    """Of the file that the device shows."""
    status = bytearray(_STATUS_BYTES)
    number = os.open(name, os.O_RDONLY)
    try:
        fcntl.ioctl(number, _STATUS, status)
    finally:
        os.close(number)
    return int(struct.unpack_from("Q", status, 8)[0])


def _reads(name: str) -> bool:
    number = os.open(name, os.O_RDONLY)
    try:
        os.read(number, 512)
    except OSError:
        return False
    finally:
        os.close(number)
    return True
