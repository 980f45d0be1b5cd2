"""Statuses, and from which of them each action may start.

The words are Cinder's and Nova's. A status that ends in -ing is transitional: an operation owns the row, or somebody
keeps it so (`held_since`): a client by os-reserve and the like, an admin by os-reset_status.
"""

from __future__ import annotations

from collections.abc import Collection

from cyclades.model.errors import WrongState

VOLUME_STEADY = frozenset({"available", "in-use", "reserved", "maintenance", "awaiting-transfer", "error",
                           "error_deleting", "error_extending", "error_managing", "error_restoring"})  # fmt: skip
VOLUME_TRANSITIONAL = frozenset({"creating", "deleting", "attaching", "detaching", "extending", "retyping", "uploading",
                                 "downloading", "reverting", "managing", "unmanaging", "backing-up",
                                 "restoring-backup"})  # fmt: skip
VOLUME_ERROR = frozenset({"error", "error_deleting", "error_extending", "error_managing", "error_restoring"})
# A volume in these has a disk for certain; in an error it may have one or not.
HAS_DISK = frozenset({"available", "in-use", "reserved", "maintenance", "awaiting-transfer"})
SNAPSHOT_ERROR = frozenset({"error", "error_deleting"})
SNAPSHOT_STEADY = frozenset({"available", *SNAPSHOT_ERROR})
SNAPSHOT_TRANSITIONAL = frozenset({"creating", "deleting", "restoring", "unmanaging"})
SERVER_TRANSITIONAL = frozenset({"BUILD", "REBOOT", "HARD_REBOOT"})

# action → the statuses of a volume that allow it
VOLUME_ACTIONS: dict[str, frozenset[str]] = {
    "delete": frozenset({"available", *VOLUME_ERROR}),
    "unmanage": frozenset({"available", *VOLUME_ERROR}),
    "attach": frozenset({"available"}),
    "reserve": frozenset({"available"}),
    "connect": frozenset({"reserved", "attaching", "in-use"}),  # a client's own attachment, further on
    "detach": frozenset({"in-use"}),
    "remove": frozenset({"in-use"}),  # with its place in its server
    "let_go": frozenset({"attaching", "detaching"}),  # of what a client holds
    "extend": frozenset({"available", "in-use"}),
    "snapshot": frozenset({"available", "in-use"}),
    "clone": frozenset({"available", "in-use"}),
    "retype": frozenset({"available", "in-use"}),
    "upload": frozenset({"available", "in-use"}),
    "revert": frozenset({"available", "error"}),  # error: what an earlier revert left
    "reimage": frozenset({"available", "error"}),
    "reimage_reserved": frozenset({"available", "error", "reserved"}),
    "write_protect": frozenset({"available"}),
    "transfer": frozenset({"available"}),
    "accept": frozenset({"awaiting-transfer"}),
    "reassign": frozenset({"available"}),
    # From its server, when that is deleted, or from a client: whatever it is, as long as no operation owns it.
    "part": VOLUME_STEADY | VOLUME_TRANSITIONAL,
    "force_detach": VOLUME_STEADY | VOLUME_TRANSITIONAL,
    "purge": VOLUME_STEADY | VOLUME_TRANSITIONAL,
    "reset": VOLUME_STEADY | VOLUME_TRANSITIONAL,
}
# What an admin may reset a volume or a snapshot to. The first promise a disk that works, which is looked at before;
# the others are set at once, and stay until an admin says otherwise.
VOLUME_PROMISES = frozenset({"available", "in-use", "maintenance"})
VOLUME_RESETS = VOLUME_PROMISES | VOLUME_ERROR | {"creating", "deleting", "attaching", "detaching"}
_SHARED_ACTIONS = frozenset({"attach", "reserve"})  # that a multi-attach volume allows while others have it


def volume_allows(action: str, *, multiattach: bool) -> frozenset[str]:
    """The statuses of a volume that allow an action."""
    allowed = VOLUME_ACTIONS[action]
    return allowed | {"in-use"} if multiattach and action in _SHARED_ACTIONS else allowed


# action → the statuses of a snapshot that allow it
SNAPSHOT_ACTIONS: dict[str, frozenset[str]] = {
    "delete": frozenset({"available", "error", "error_deleting"}),
    "unmanage": frozenset({"available", "error", "error_deleting"}),
    "clone": frozenset({"available"}),
    "transfer": frozenset({"available"}),
    "purge": SNAPSHOT_STEADY | SNAPSHOT_TRANSITIONAL,
    "reset": SNAPSHOT_STEADY | SNAPSHOT_TRANSITIONAL,
    "revert": frozenset({"available"}),
}
SNAPSHOT_PROMISES = frozenset({"available"})
SNAPSHOT_RESETS = SNAPSHOT_PROMISES | SNAPSHOT_ERROR | {"creating", "deleting"}


def wrong_status(resource: str, action: str, allowed: Collection[str], status: str | None) -> WrongState:
    """The refusal of an action that this status does not allow."""
    wanted, verb = " or ".join(sorted(allowed)), action.replace("_", "-")
    message = f"Invalid {resource}: its status must be {wanted} to {verb} it, but it is {status}."
    if status in allowed:
        message = f"Invalid {resource}: it is {status}, and an operation is at work on it."
    return WrongState(f"{resource}-{action}", message, resource=resource)


# action → the statuses of a server that allow it, while no operation owns the server
SERVER_ACTIONS: dict[str, frozenset[str]] = {
    "start": frozenset({"SHUTOFF"}),
    "stop": frozenset({"ACTIVE"}),
    "reboot": frozenset({"ACTIVE"}),
    "reboot_hard": frozenset({"ACTIVE", "SHUTOFF", "ERROR"}),
    "attach": frozenset({"ACTIVE", "SHUTOFF"}),
    "detach": frozenset({"ACTIVE", "SHUTOFF"}),
    "move_volume": frozenset({"ACTIVE", "SHUTOFF"}),  # of its own, to another pool
    "create_image": frozenset({"ACTIVE", "SHUTOFF"}),
}
LOCK_ALLOWS = frozenset({"create_image"})  # that changes nothing of the server
