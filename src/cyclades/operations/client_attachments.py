"""What clients keep for themselves: volumes that they hold, and attachments to instances and hosts that are no servers
of ours. All of it is rows, without an operation: no pool or backend hears of it, and no server of ours gets the volume.

Each holds the volume's row first. While an operation owns the volume, none of this changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import attachments as rules
from cyclades.model import capabilities
from cyclades.model.caller import Caller
from cyclades.model.errors import Conflict, Forbidden, Invalid, NotFound, WrongState
from cyclades.operations import volume_attach, volume_detach
from cyclades.operations.base import new_id
from cyclades.store import attachments, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now

Connector = Mapping[str, Any]


def reserve(tx: Tx, caller: Caller, volume_id: str) -> None:
    """Hold a volume that is free in `attaching`."""
    row = volumes.hold(tx, volume_id, caller.scope)
    volumes.begin(tx, row, "reserve", status="attaching", op_id=None)


def unreserve(tx: Tx, caller: Caller, volume_id: str) -> None:
    """Let go of a volume that is held in `attaching`; of any other, nothing happens."""
    row = volumes.hold(tx, volume_id, caller.scope)
    if row.status == "attaching":
        attachments.let_go(tx, row)


def begin_detaching(tx: Tx, caller: Caller, volume_id: str) -> None:
    """Hold a volume that is in use in `detaching`."""
    row = volumes.hold(tx, volume_id, caller.scope)
    volumes.begin(tx, row, "detach", status="detaching", op_id=None)


def roll_detaching(tx: Tx, caller: Caller, volume_id: str) -> None:
    """Let go of a volume that is held in `detaching`; of any other, nothing happens."""
    row = volumes.hold(tx, volume_id, caller.scope)
    if row.status == "detaching":
        attachments.let_go(tx, row)


def attach(
    tx: Tx, caller: Caller, volume_id: str, *, instance_id: str | None, host_name: str | None, device: str, mode: str
) -> None:
    """Attach a volume that is free or held: to a server of ours that the caller reaches, or as the client's own."""
    server = _server(tx, caller, instance_id)
    row = volumes.hold(tx, volume_id, caller.scope)
    if instance_id is None and host_name is None:
        raise Invalid("attach-target", "Say to what the volume is attached: instance_uuid or host_name.")
    rules.check_mode(mode, readonly=bool(row.readonly), volume_id=row.id)
    if row.status == "attaching":
        attachments.let_go(tx, row)
    if server is not None:
        volume_attach.start(tx, caller, server.id, row.id, device=device, mode=mode)
        return
    for one in attachments.of_volume(tx, row.id):
        same = one.instance_id == instance_id if instance_id else one.host_name == host_name
        if one.server_id is None and same and one.status == "attached":
            return  # asked again
    volumes.begin(tx, row, "attach", status="in-use", op_id=None)
    place = {"instance_id": instance_id, "host_name": host_name, "device": device}
    _add(tx, row, status="attached", mode=mode, attached_at=now(), **place)


def _server(tx: Tx, caller: Caller, instance_id: str | None) -> Row[Any] | None:
    """A server's row is held before a volume's, here as wherever both are."""
    try:
        return servers.hold(tx, instance_id, caller.scope) if instance_id else None
    except NotFound:
        return None


def _add(tx: Tx, volume: Row[Any], **values: Any) -> str:
    attachment_id = new_id()
    attachments.add(
        tx,
        attachment_id,
        project_id=volume.project_id,
        volume_id=volume.id,
        generation=volume.generation,
        **values,
    )
    return attachment_id


def detach(tx: Tx, caller: Caller, volume_id: str, attachment_id: str | None) -> None:
    """End an attachment, by default the only one. A volume that has none is only let go of, if a client holds it."""
    row = volumes.get(tx, volume_id, caller.scope)
    if row.status == "maintenance":
        raise WrongState("volume-detach", f"Invalid volume: volume {row.id} is in maintenance.", resource="volume")
    one = which(tx, row, attachment_id)
    if one is not None and one.server_id is not None:
        servers.hold(tx, one.server_id, None)
        _let_go(tx, row)
        volume_detach.start(tx, caller, one.server_id, row.id)
    elif one is not None:
        remove(tx, caller, one.id)
    else:
        _let_go(tx, row)


def _let_go(tx: Tx, row: Row[Any]) -> None:
    attachments.let_go(tx, volumes.hold(tx, row.id, None))


def which(tx: Tx, row: Row[Any], attachment_id: str | None) -> Row[Any] | None:
    """The volume's attachment of that id, by default its only one, if it has one."""
    attached = attachments.of_volume(tx, row.id)
    if attachment_id is not None:
        one = next((one for one in attached if one.id == attachment_id), None)
        if one is None:
            raise NotFound("volume-attachment", attachment_id)
        return one
    if len(attached) > 1:
        text = f"Invalid volume: volume {row.id} has more than one attachment: say which, with attachment_id."
        raise WrongState("volume-detach", text, resource="volume")
    return attached[0] if attached else None


def connection(tx: Tx, caller: Caller, settings: Settings, volume_id: str) -> dict[str, Any]:
    """How a client reaches a volume that no server of ours has (`rules.connection`)."""
    row = volumes.get(tx, volume_id, caller.scope)
    if not caller.sees_hosts:
        raise Forbidden("connection", "How a disk is reached is told to admins and to other services alone.")
    if row.status == "maintenance" or any(one.server_id for one in attachments.of_volume(tx, row.id)):
        why = "in maintenance" if row.status == "maintenance" else "attached to a server: it is reached through that"
        raise WrongState("volume-connect", f"Invalid volume: volume {row.id} is {why}.", resource="volume")
    capabilities.require_pool(row.pool, "connections from elsewhere")
    mode = "ro" if row.readonly else "rw"
    return rules.connection(
        engine=capabilities.engine_of(row.pool, settings.storage), pool=row.pool, volume_id=row.id, mode=mode
    )


def terminate(tx: Tx, caller: Caller, volume_id: str) -> None:
    """A client closed its connection: a volume that it held in `attaching` is let go of."""
    for one in attachments.of_volume(tx, volumes.get(tx, volume_id, caller.scope).id):
        _require_client(one)
    unreserve(tx, caller, volume_id)


def create(
    tx: Tx,
    caller: Caller,
    volume_id: str,
    *,
    instance_id: str | None,
    connector: Connector | None,
    mode: str | None,
) -> str:
    """Reserve a volume that is free for an attachment of the client's own, and connect it if there is a connector;
    returns its id. Nobody else can reserve it then, except for another attachment to the same instance: that moves."""
    row = volumes.hold(tx, volume_id, caller.scope)
    mine = [one for one in attachments.of_volume(tx, row.id) if one.server_id is None]
    moves = instance_id is not None and any(one.instance_id == instance_id for one in mine)
    if not (moves and row.status in ("in-use", "reserved")):
        volumes.begin(tx, row, "reserve", status="reserved", op_id=None)
    mode = "ro" if row.readonly else mode
    attachment_id = _add(tx, row, status="reserved", instance_id=instance_id, mode=mode)
    if connector:
        _connect(tx, volumes.get(tx, row.id, None), attachments.by_id(tx, attachment_id, None), connector)
    return attachment_id


def update(tx: Tx, caller: Caller, attachment_id: str, connector: Connector) -> None:
    """Say from where a reserved volume is opened."""
    volume, one = _hold(tx, caller, attachment_id)
    _require_client(one)
    if "error" in volume.status:
        raise Conflict("attachment-update", f"Volume {volume.id} is in status {volume.status}: it cannot be connected.")
    others = (each for each in attachments.of_volume(tx, volume.id) if each.id != one.id)
    if not volume.multiattach and any(each.connector for each in others):
        raise Conflict("attachment-update", f"Volume {volume.id} is connected already, for another attachment.")
    _connect(tx, volume, one, connector)


def _connect(tx: Tx, volume: Row[Any], one: Row[Any], connector: Connector) -> None:
    volumes.begin(tx, volume, "connect", status="attaching", op_id=None)
    attachments.change(
        tx,
        one.id,
        status="attaching",
        connector=dict(connector),
        mode=rules.mode_of(one.mode, connector.get("mode")),
        host_name=connector.get("host"),
        device=connector.get("mountpoint"),
        attached_at=now(),
    )


def complete(tx: Tx, caller: Caller, attachment_id: str) -> None:
    """The client has opened the volume."""
    volume, one = _hold(tx, caller, attachment_id)
    _require_client(one)
    volumes.begin(tx, volume, "connect", status="in-use", op_id=None)
    attachments.change(tx, one.id, status="attached", attached_at=one.attached_at or now())


def remove(tx: Tx, caller: Caller, attachment_id: str) -> list[Row[Any]]:
    """End a client's own attachment; returns those that the volume has left."""
    volume, one = _hold(tx, caller, attachment_id)
    _require_client(one)
    if volume.operation_id is not None:
        text = f"Invalid volume: volume {volume.id} is {volume.status}; try again when that has ended."
        raise WrongState("volume-detach", text, resource="volume")
    attachments.change(tx, one.id, deleted_at=now())
    volumes.begin(tx, volume, "part", status=attachments.volume_status(tx, volume), op_id=None)
    return attachments.of_volume(tx, volume.id)


def _hold(tx: Tx, caller: Caller, attachment_id: str) -> tuple[Row[Any], Row[Any]]:
    """The volume, held, and the attachment."""
    volume_id = attachments.by_id(tx, attachment_id, caller.scope).volume_id
    return volumes.hold(tx, volume_id, None), attachments.by_id(tx, attachment_id, caller.scope)


def _require_client(one: Row[Any]) -> None:
    """What a server of ours has, its own service lets go of: here the disk would go while the guest uses it."""
    if one.server_id is not None:
        text = f"Detach volume {one.volume_id} from instance {one.server_id} using the Compute API."
        raise Conflict("attachment-of-server", text)
