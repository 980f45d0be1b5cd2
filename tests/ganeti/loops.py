"""Loop devices belong to the whole machine: those that nodes made outlive them."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

_CLEAR = 0x4C01  # LOOP_CLR_FD: at once, or as soon as nobody has it open
_SET_READ_ONLY = 0x125D  # BLKROSET: stays with the device, whatever it shows later
_STATUS = 0x4C05  # LOOP_GET_STATUS64
_STATUS_BYTES, _INODE_AT, _NAME_AT, _NAME_BYTES = 232, 8, 56, 64


def free(directory: Path) -> None:
    """Detach the loop devices over files below this directory, deleted ones too (but a node's own), and those over a
    FUSE file system that nobody serves any more: they can do nothing but fail."""
    files = {os.lstat(os.path.join(top, name)).st_ino for top, _, names in os.walk(directory) for name in names}
    for device in sorted(Path("/sys/block").glob("loop*")):
        with suppress(OSError):  # it has no file, or not any more
            path = (device / "loop" / "backing_file").read_text().strip()
            number = os.open(f"/dev/{device.name}", os.O_RDONLY)
            try:
                # A mount of a single file that is gone is `/`.
                if _is_over(number, directory, files) or (path == "/" and not _reads(number)):
                    fcntl.ioctl(number, _SET_READ_ONLY, struct.pack("i", 0))
                    fcntl.ioctl(number, _CLEAR)
            finally:
                os.close(number)


def _is_over(device: int, directory: Path, files: set[int]) -> bool:
    status = bytearray(_STATUS_BYTES)
    with suppress(OSError):
        fcntl.ioctl(device, _STATUS, status)
    (inode,) = struct.unpack_from("Q", status, _INODE_AT)
    path = status[_NAME_AT : _NAME_AT + _NAME_BYTES]  # as it was when the device was made, on the node
    return inode in files or path.startswith(os.fsencode(f"{directory}/"))


def _reads(device: int) -> bool:
    try:
        os.read(device, 512)
    except OSError:
        return False
    return True
