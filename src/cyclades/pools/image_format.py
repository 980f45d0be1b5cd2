"""What a file of an image is, by our own reading of its header.

A file that a user wrote is looked at here before any program of QEMU's opens it: a qcow2 header can name
other files of this machine (a backing file, a data file), which QEMU would open. So everything that is not
a plain, whole, self-contained image is refused. `docs/interop/qcow2.txt` in QEMU's source describes qcow2.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from cyclades.model.errors import Invalid
from cyclades.model.units import KIB, MIB

HEAD = 64 * KIB  # bytes at the start of a file that tell what it is
TAIL = 512  # and at its end
FORMATS = ("raw", "qcow2")  # those that are accepted

# What begins with these bytes at this place is of this format.
_MAGIC = (
    (0, b"QED\0", "qed"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"BZh", "bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"PK\x03\x04", "zip"),
    (257, b"ustar", "tar"),
)
_PACKED = {"gzip", "xz", "bzip2", "zstd", "zip", "tar"}

_QCOW2_V2 = Struct(">4sIQIIQIIQQIIQ")
_QCOW2_V3 = Struct(">QQQII")
_QCOW2_EXTENSION = Struct(">II")
_V3_LENGTH = 104

_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION_TYPE, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN_FEATURES = _DIRTY | _CORRUPT | _DATA_FILE | _COMPRESSION_TYPE | _EXTENDED_L2
_DATA_FILE_EXTENSION = 0x44415441
_LUKS_EXTENSION = 0x0537BE77
_MOST_L1 = 32 * MIB  # bytes; QEMU's own limits
_MOST_REFCOUNT_TABLE = 8 * MIB


@dataclass(frozen=True)
class ImageHeader:
    """`format` is `raw` or `qcow2`; `virtual_size` is what a guest sees, in bytes."""

    format: str
    virtual_size: int


def inspect(path: Path, expected: str | None = None) -> ImageHeader:
    """Read what the file is. `Invalid` if it is not of the format `expected` (None: raw or qcow2, whatever it is),
    or if it is a qcow2 that refers to anything outside itself or does not hold together. Blocks for one small
    read. Whether the rest of a qcow2 is whole is for `qemu_img.check` to say."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return read(file.read(HEAD), _tail(file, size), size, expected)


def read(head: bytes, tail: bytes, size: int, expected: str | None = None) -> ImageHeader:
    """`inspect` for a file of `size` bytes of which `head` and `tail` are the first `HEAD` and the last `TAIL`."""
    if size == 0:
        raise Invalid("image-empty", "The image is empty.")
    found = recognise(head, tail)
    if found not in FORMATS:
        what = f"is packed ({found}); unpack it first" if found in _PACKED else f"is {found}, which is not supported"
        raise Invalid("image-format", f"The image {what}. Supported are {' and '.join(FORMATS)}.", field="disk_format")
    if expected is not None and found != expected:
        raise Invalid("image-format", f"The image is {found}, not {expected}.", field="disk_format")
    return _qcow2(head, size) if found == "qcow2" else ImageHeader("raw", size)


def recognise(head: bytes, tail: bytes = b"") -> str:
    """The name of the format, by what is written at known places; `raw` if nothing is."""
    if head.startswith(b"QFI\xfb"):
        return "qcow" if head[4:8] == b"\0\0\0\x01" else "qcow2"
    for offset, magic, name in _MAGIC:
        if head.startswith(magic, offset):
            return name
    if tail[-512:].startswith(b"conectix"):
        return "vhd"  # of fixed size: the description follows the data
    if tail[-512:].startswith(b"koly"):
        return "dmg"
    # A hybrid, with a boot sector too, can be used as a disk: that is raw.
    if head[32769:32774] == b"CD001" and head[510:512] != b"\x55\xaa":
        return "iso"
    return "raw"


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(size - TAIL, 0))
    return file.read(TAIL)


def _qcow2(head: bytes, size: int) -> ImageHeader:
    if len(head) < _QCOW2_V2.size:
        raise _broken("it ends inside its header")
    (
        _magic,
        version,
        backing_offset,
        backing_length,
        cluster_bits,
        virtual_size,
        encryption,
        l1_entries,
        l1_offset,
        refcount_offset,
        refcount_clusters,
        snapshots,
        _snapshots_offset,
    ) = _QCOW2_V2.unpack_from(head)
    if version not in (2, 3):
        raise _refused(f"qcow2 of version {version}")
    if backing_offset or backing_length:
        raise _refused("a qcow2 with a backing file; flatten it first (qemu-img convert)")
    if encryption:
        raise _refused("an encrypted qcow2")
    if snapshots:
        raise _refused("a qcow2 with internal snapshots; remove them first (qemu-img convert)")
    features, refcount_order, header_length = 0, 4, _QCOW2_V2.size
    if version == 3:
        if len(head) < _V3_LENGTH:
            raise _broken("it ends inside its header")
        features, _compatible, _autoclear, refcount_order, header_length = _QCOW2_V3.unpack_from(head, _QCOW2_V2.size)
    _check_features(features)
    if not 9 <= cluster_bits <= 21:
        raise _broken(f"clusters of 2^{cluster_bits} bytes")
    cluster = 1 << cluster_bits
    least = _QCOW2_V2.size if version == 2 else _V3_LENGTH
    if not least <= header_length <= min(cluster, len(head)) or header_length % 8:
        raise _broken(f"a header of {header_length} bytes")
    if refcount_order > 6:
        raise _broken(f"reference counts of 2^{refcount_order} bits")
    _check_extensions(head[header_length:cluster])
    _check_table("refcount table", refcount_offset, refcount_clusters * cluster, _MOST_REFCOUNT_TABLE, cluster, size)
    if virtual_size == 0:
        raise _refused("a qcow2 of 0 bytes")
    per_l2 = cluster // (16 if features & _EXTENDED_L2 else 8) * cluster
    if l1_entries < -(-virtual_size // per_l2):
        raise _broken("an L1 table too small for its virtual size")
    _check_table("L1 table", l1_offset, l1_entries * 8, _MOST_L1, cluster, size)
    return ImageHeader("qcow2", virtual_size)


def _check_features(features: int) -> None:
    if features & _DATA_FILE:
        raise _refused("a qcow2 with an external data file; convert it first (qemu-img convert)")
    if features & (_DIRTY | _CORRUPT):
        raise _broken("it was not closed or is marked corrupt; repair it first (qemu-img check -r all)")
    if features & ~_KNOWN_FEATURES:
        raise _refused(f"a qcow2 with unknown features ({features & ~_KNOWN_FEATURES:#x})")


def _check_extensions(area: bytes) -> None:
    """`area` is what follows the header in its cluster."""
    offset = 0
    while offset + _QCOW2_EXTENSION.size <= len(area):
        kind, length = _QCOW2_EXTENSION.unpack_from(area, offset)
        if kind == 0:
            return
        if kind == _DATA_FILE_EXTENSION:
            raise _refused("a qcow2 with an external data file; convert it first (qemu-img convert)")
        if kind == _LUKS_EXTENSION:
            raise _refused("an encrypted qcow2")
        offset += _QCOW2_EXTENSION.size + -(-length // 8) * 8
        if offset > len(area):
            raise _broken("a header extension that does not end")


def _check_table(what: str, offset: int, length: int, most: int, cluster: int, size: int) -> None:
    if not offset or offset % cluster or not 0 < length <= most:
        raise _broken(f"an impossible {what}")
    if offset + length > size:
        raise _broken(f"its {what} lies behind its end: it is cut off")


def _refused(what: str) -> Invalid:
    return Invalid("image-qcow2", f"The image is {what}.", field="disk_format")


def _broken(what: str) -> Invalid:
    return Invalid("image-broken", f"The image is not a whole qcow2: {what}.", field="disk_format")
