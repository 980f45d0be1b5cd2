"""/servers/{id}/os-volume_attachments"""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import since, views
from cyclades.api.compute.schemas import TAG, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, UUID, Schema, is_true
from cyclades.api.http.service import Answer
from cyclades.api.http.versions import Version
from cyclades.model.errors import Conflict, Invalid
from cyclades.operations import volume_attach, volume_detach
from cyclades.store import attachments, servers
from cyclades.store.database import Tx

_PATH = "/servers/{server_id}/os-volume_attachments"


@SERVICE.route("GET", _PATH, who="reader")
async def every(request: Request) -> dict[str, Any]:
    limit, offset = request.whole("limit"), request.whole("offset") or 0

    def read(tx: Tx) -> list[Any]:
        server = servers.get(tx, request.ids["server_id"], request.caller.scope)
        return views.listed(server, attachments.of_server(tx, server.id))

    rows = await request.db.read(read)
    chosen = rows[offset:] if limit is None else rows[offset : offset + limit]
    return {"volumeAttachments": [views.attachment(request, row) for row in chosen]}


@SERVICE.route("GET", f"{_PATH}/{{volume_id}}", who="reader")
async def show(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> Any:
        server = servers.get(tx, request.ids["server_id"], request.caller.scope)
        return attachments.get(tx, server.id, request.ids["volume_id"])

    return {"volumeAttachment": views.attachment(request, await request.db.read(read))}


_DEVICE: Schema = {"type": ["string", "null"], "maxLength": 255, "pattern": "^/dev/x?[a-z]?d?[a-z]+[0-9]*$"}


def _create(version: Version) -> Schema:
    properties: Schema = {"volumeId": UUID, "device": _DEVICE}
    if version >= since.ATTACH_WITH_TAG:
        properties["tag"] = TAG
    if version >= since.ATTACHMENT_DELETE_ON_TERMINATION:
        properties["delete_on_termination"] = BOOLEAN
    return closed({"volumeAttachment": closed(properties, "volumeId")}, "volumeAttachment")


@SERVICE.route("POST", _PATH, who="member", status=202, body=_create)
async def create(request: Request) -> Answer:
    asked = request.body["volumeAttachment"]

    def accept(tx: Tx) -> dict[str, Any]:
        server_id, volume_id = request.ids["server_id"], asked["volumeId"].lower()
        device = asked.get("device")
        volume_attach.start(
            tx,
            request.caller,
            server_id,
            volume_id,
            device=device,
            tag=asked.get("tag"),
            delete_on_termination=is_true(asked.get("delete_on_termination", False)),
        )
        shown = [row.device for row in attachments.of_server(tx, server_id)]
        if device and shown.count(device) > 1:
            raise Conflict("device-in-use", f"The supplied device path ({device}) is in use.", field="device")
        return views.attachment(request, attachments.get(tx, server_id, volume_id), made=True)

    view = await request.create(accept)
    if request.version >= since.ATTACH_WITHOUT_BODY:
        return Answer(202)
    return Answer(200, {"volumeAttachment": view})


def _update(version: Version) -> Schema:
    properties: Schema = {"volumeId": UUID}
    if version >= since.ATTACHMENT_CHANGED:
        properties |= {"id": UUID, "serverId": UUID, "device": {"type": ["string", "null"]}}
        properties |= {"tag": {"type": ["string", "null"]}, "delete_on_termination": BOOLEAN}
    return closed({"volumeAttachment": closed(properties, "volumeId")}, "volumeAttachment")


@SERVICE.route("PUT", f"{_PATH}/{{volume_id}}", who="member", status=202, body=_update)
async def update(request: Request) -> None:
    """Change what happens to the volume with its server. Another volume in its place is what only a Block Storage
    service may ask for that moves volumes by this; ours does not."""
    asked, volume_id = request.body["volumeAttachment"], request.ids["volume_id"]

    def change(tx: Tx) -> None:
        server = servers.hold(tx, request.ids["server_id"], request.caller.scope)
        row = attachments.get(tx, server.id, volume_id)
        if request.version < since.ATTACHMENT_CHANGED or asked["volumeId"].lower() != row.volume_id:
            raise Conflict(
                "volume-swap",
                f"volume {row.volume_id} is not migrating; this API should only be called by Cinder",
                field="volumeId",
            )
        fixed = {"id": row.volume_id, "serverId": row.server_id, "device": row.device, "tag": row.tag}
        for name, value in fixed.items():
            if name in asked and asked[name] != value:
                raise Invalid("attachment-fixed", f"The {name} property is not mutable", field=name)
        if "delete_on_termination" in asked:
            volume_attach.end_with_server(tx, row, ends=is_true(asked["delete_on_termination"]))

    await request.db.write(change)


@SERVICE.route("DELETE", f"{_PATH}/{{volume_id}}", who="member", status=202)
async def delete(request: Request) -> None:
    ids = request.ids
    await request.db.write(lambda tx: volume_detach.start(tx, request.caller, ids["server_id"], ids["volume_id"]))
