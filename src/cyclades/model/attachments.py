"""The rules of attachments: what they make of their volume, and how it is reached.

An attachment is a server's of ours, or a client's own: to an instance or a host that Cyclades does not run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cyclades.model.errors import Invalid
from cyclades.model.names import volume_disk

MODES = ("rw", "ro")

# What a volume is by the furthest of its attachments.
_VOLUME_STATUS = {"attached": "in-use", "attaching": "attaching", "detaching": "detaching", "reserved": "reserved"}


def volume_status(status: str, attached: Iterable[str]) -> str:
    """What a volume in `status` is with these attachments (their statuses). An error, for one, stays what it is."""
    if status not in _VOLUME_STATUS.values():
        return status
    found = set(attached)
    return next((next_one for each, next_one in _VOLUME_STATUS.items() if each in found), "available")


def check_mode(mode: str, *, readonly: bool, volume_id: str) -> None:
    """`readonly` is the volume's."""
    if readonly and mode != "ro":
        raise Invalid("attach-mode", f"Invalid attaching mode '{mode}' for volume {volume_id}.", field="mode")


def mode_of(chosen: str | None, connector: str | None) -> str:
    """What was chosen when the attachment was made wins over what its connector says later."""
    return chosen or connector or "rw"


def connection(*, engine: str, pool: str, volume_id: str, mode: str) -> dict[str, Any]:
    """How a disk is reached, as Cinder words it: `driver_volume_type` and `data`. It is told by the names that an
    engine of this kind opens it with, never by a file's path: the file that is written to changes with a snapshot."""
    data = {
        "pool": pool,
        "name": volume_disk(volume_id),
        "access_mode": mode,
        "encrypted": False,
        "qos_specs": None,
        "cacheable": False,
    }
    return {"driver_volume_type": engine, "data": data}
