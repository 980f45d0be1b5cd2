"""End an attachment, whatever the volume's status. Of a server of ours that is a detachment like any other, which
proves that the server has let go; of a client's own there is only its row.
"""

from __future__ import annotations

from cyclades.model.caller import Caller
from cyclades.model.errors import WrongState
from cyclades.operations import client_attachments, volume_detach, volume_reset
from cyclades.store import attachments, volumes
from cyclades.store.database import Tx

# In these a volume that is not attached to anything was left by somebody.
_LEFT = frozenset({"in-use", "attaching", "detaching", "reserved"})


def start(tx: Tx, caller: Caller, volume_id: str, attachment_id: str | None) -> None:
    """Accept it; by default the volume's only attachment. While an operation has the volume this is refused."""
    row = volumes.get(tx, volume_id, caller.scope)
    one = client_attachments.which(tx, row, attachment_id)
    if one is not None and one.server_id is not None:
        volume_detach.force(tx, caller, one)
        return
    if one is not None:
        client_attachments.remove(tx, caller, one.id)
    row = volumes.hold(tx, row.id, None)
    if row.status == "available" or attachments.of_volume(tx, row.id):
        return
    if row.operation_id is not None or (one is None and row.status not in _LEFT):
        text = f"Invalid volume: volume {row.id} is {row.status}, and not attached to anything."
        raise WrongState("volume-force-detach", text, resource="volume")
    volume_reset.start(tx, caller, row.id, status="available")
