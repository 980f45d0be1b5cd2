"""Rules of servers that need no state."""

from __future__ import annotations

import re

from cyclades.model.errors import Forbidden

MAX_DISKS = 16  # of one server, the root included; what Ganeti and the local backend take


def hostname_of(name: str, server_id: str) -> str:
    """The name that the guest has for itself (one label of RFC 1123), from the name that its user gave it."""
    cleaned = re.sub(r"[^A-Za-z0-9-]", "", re.sub(r"[ _.]", "-", name)).lower()[:63].strip("-")
    return cleaned or f"server-{server_id}"


def device_of(index: int) -> str:
    """Where a guest that finds its disks in order has the one at `index`. The serial is what it should go by."""
    return f"/dev/sd{chr(ord('a') + index)}"


def free_index(taken: set[int]) -> int:
    """The least index for one more volume; the root has 0."""
    index = next(i for i in range(1, len(taken) + 2) if i not in taken)
    if len(taken) >= MAX_DISKS or index >= MAX_DISKS:
        raise Forbidden("max-disks", f"The maximum allowed number of disk devices ({MAX_DISKS}) is attached already.")
    return index
