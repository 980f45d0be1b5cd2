"""Statuses, and from which of them each action may start.

The words are Cinder's and Nova's. A status that ends in -ing is transitional: an operation owns the row.
"""

from __future__ import annotations

from collections.abc import Collection

from cyclades.model.errors import WrongState

VOLUME_STEADY = frozenset({"available", "in-use", "reserved", "maintenance", "awaiting-transfer", "error",
                           "error_deleting", "error_extending", "error_restoring"})  # fmt: skip
VOLUME_ERROR = frozenset({"error", "error_deleting", "error_extending", "error_restoring"})
SNAPSHOT_ERROR = frozenset({"error", "error_deleting"})
SNAPSHOT_STEADY = frozenset({"available", *SNAPSHOT_ERROR})
SERVER_TRANSITIONAL = frozenset({"BUILD", "REBOOT", "HARD_REBOOT"})

# action → the statuses of a volume that allow it
VOLUME_ACTIONS: dict[str, frozenset[str]] = {
    "delete": frozenset({"available", "error", "error_deleting", "error_extending", "error_restoring"}),
    "attach": frozenset({"available"}),
    "detach": frozenset({"in-use"}),
    "extend": frozenset({"available", "in-use"}),
    "snapshot": frozenset({"available", "in-use"}),
    "clone": frozenset({"available", "in-use"}),
    "part": VOLUME_STEADY,  # from its server, when that is deleted
}

# action → the statuses of a snapshot that allow it
SNAPSHOT_ACTIONS: dict[str, frozenset[str]] = {
    "delete": frozenset({"available", "error", "error_deleting"}),
    "clone": frozenset({"available"}),
}


def wrong_status(resource: str, action: str, allowed: Collection[str], status: str | None) -> WrongState:
    """The refusal of an action that this status does not allow."""
    wanted = " or ".join(sorted(allowed))
    message = f"Invalid {resource}: its status must be {wanted} to {action} it, but it is {status}."
    return WrongState(f"{resource}-{action}", message, resource=resource)


# action → the statuses of a server that allow it, while no operation owns the server
SERVER_ACTIONS: dict[str, frozenset[str]] = {
    "start": frozenset({"SHUTOFF"}),
    "stop": frozenset({"ACTIVE"}),
    "reboot": frozenset({"ACTIVE"}),
    "reboot_hard": frozenset({"ACTIVE", "SHUTOFF", "ERROR"}),
    "attach": frozenset({"ACTIVE", "SHUTOFF"}),
    "detach": frozenset({"ACTIVE", "SHUTOFF"}),
}
