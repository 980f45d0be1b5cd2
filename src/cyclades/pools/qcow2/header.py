"""The few bytes of a qcow2 file that a pool reads and writes itself: starting qemu-img for them takes longer
than everything else. Only for files that this pool made; `docs/interop/qcow2.txt` in QEMU describes them.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct

from cyclades.model.units import KIB

_HEADER = Struct(">4sIQIIQIIQQIIQQQQII")  # version 3
_EXTENSION = Struct(">II")
_MAGIC, _VERSION, _BACKING_FORMAT = b"QFI\xfb", 3, 0xE2792ACA
_CLUSTER_BITS, _REFCOUNT_ORDER = 16, 4
_CLUSTER = 64 * KIB
_LONGEST_NAME = 1023  # of a backing file
_PER_L1_ENTRY = _CLUSTER // 8 * _CLUSTER


def write_empty(path: Path, size: int, backing: tuple[str, str] | None) -> None:
    """Make a new file: a layer of `size` bytes with nothing in it, on top of `backing`, a file name in the same
    directory and its format. On the disk when this returns; its name need not be."""
    header, refcounts, length = _empty(size, backing)
    with path.open("wb") as file:
        file.write(header)
        file.seek(_CLUSTER)
        file.write((2 * _CLUSTER).to_bytes(8, "big"))  # the refcount table has one block
        file.seek(2 * _CLUSTER)
        file.write(refcounts)
        file.truncate(length)  # the L1 table is zeros
        file.flush()
        os.fsync(file.fileno())


def _empty(size: int, backing: tuple[str, str] | None) -> tuple[bytes, bytes, int]:
    l1_entries = -(-size // _PER_L1_ENTRY)
    clusters = 3 + -(-l1_entries * 8 // _CLUSTER)
    extensions, name = b"", b""
    if backing is not None:
        name, kind = backing[0].encode(), backing[1].encode()
        extensions = _EXTENSION.pack(_BACKING_FORMAT, len(kind)) + kind.ljust(8, b"\0")
    extensions += _EXTENSION.pack(0, 0)
    header = _HEADER.pack(
        _MAGIC,
        _VERSION,
        _HEADER.size + len(extensions) if name else 0,
        len(name),
        _CLUSTER_BITS,
        size,
        0,  # not encrypted
        l1_entries,
        3 * _CLUSTER,
        _CLUSTER,
        1,
        0,  # no internal snapshots
        0,
        0,  # features: none
        0,
        0,
        _REFCOUNT_ORDER,
        _HEADER.size,
    )
    return header + extensions + name, b"\0\1" * clusters, clusters * _CLUSTER


def virtual_size(path: Path) -> int:
    """Bytes, as a guest sees them."""
    size: int = _read(path)[5]
    return size


def is_empty(path: Path) -> bool:
    """Whether nothing was ever written into the layer. Only true of a file that no QEMU has open."""
    header = _read(path)
    with path.open("rb") as file:
        file.seek(header[8])
        return not any(file.read(header[7] * 8))


def below(path: Path) -> str | None:
    """The name of the file under it; None for one that stands alone, or is no qcow2 file."""
    with path.open("rb") as file:
        start = file.read(_HEADER.size)
        if len(start) < _HEADER.size or start[:4] != _MAGIC:
            return None
        offset, length = _HEADER.unpack(start)[2:4]
        file.seek(offset)
        return file.read(min(length, _LONGEST_NAME)).decode(errors="replace") or None


def _read(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        header = _HEADER.unpack(file.read(_HEADER.size))
    if header[:2] != (_MAGIC, _VERSION):
        raise OSError(f"{path} is not a layer")
    return header
