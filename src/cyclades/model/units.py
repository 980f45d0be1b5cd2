"""Units. Sizes of volumes are GiB at the API, bytes everywhere a pool or a quota counts."""

from __future__ import annotations

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


def gib_to_hold(size: int) -> int:
    """The least whole number of GiB that holds `size` bytes."""
    return -(-size // GIB)
