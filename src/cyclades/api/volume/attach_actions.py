"""POST /volumes/{volume_id}/action: the steps in which clients attach volumes and detach them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import NAME, NAME_NOT_EMPTY, UUID, UUID_OR_NULL, Schema, body, shape
from cyclades.api.volume import shapes
from cyclades.api.volume.service import SERVICE
from cyclades.model import attachments as rules
from cyclades.model.caller import Caller
from cyclades.operations import client_attachments
from cyclades.store.database import Tx

_PATH = "/volumes/{volume_id}/action"


def _without_body(action: str, change: Callable[[Tx, Caller, str], None]) -> None:
    """An action that says all by its name; what clients send with it is passed over."""
    schema: Schema = {"type": "object", "properties": {action: {}}, "required": [action]}

    @SERVICE.route("POST", _PATH, action=action, who="member", status=202, body=schema)
    async def act(request: Request) -> None:
        await request.db.write(lambda tx: change(tx, request.caller, request.ids["volume_id"]))


_without_body("os-reserve", client_attachments.reserve)
_without_body("os-unreserve", client_attachments.unreserve)
_without_body("os-begin_detaching", client_attachments.begin_detaching)
_without_body("os-roll_detaching", client_attachments.roll_detaching)


_ATTACH = body(
    "os-attach",
    {
        "instance_uuid": UUID,
        "mountpoint": NAME_NOT_EMPTY,
        "host_name": NAME,
        "mode": {"type": "string", "enum": list(rules.MODES)},
    },
    required=("mountpoint",),
)


@SERVICE.route("POST", _PATH, action="os-attach", who="member", status=202, body=_ATTACH)
async def attach(request: Request) -> None:
    asked = request.body["os-attach"]
    instance_id = asked.get("instance_uuid")
    await request.db.write(
        lambda tx: client_attachments.attach(
            tx,
            request.caller,
            request.ids["volume_id"],
            instance_id=instance_id.lower() if instance_id else None,
            host_name=asked.get("host_name") or None,
            device=asked["mountpoint"],
            mode=asked.get("mode", "rw"),
        )
    )


_DETACH: Schema = {
    "type": "object",
    "properties": {
        "os-detach": {
            "type": ["object", "null"],
            "properties": {"attachment_id": UUID_OR_NULL},
            "additionalProperties": False,
        }
    },
    "required": ["os-detach"],
    "additionalProperties": False,
}


@SERVICE.route("POST", _PATH, action="os-detach", who="member", status=202, body=_DETACH)
async def detach(request: Request) -> None:
    attachment_id = (request.body["os-detach"] or {}).get("attachment_id")
    await request.db.write(
        lambda tx: client_attachments.detach(
            tx, request.caller, request.ids["volume_id"], attachment_id.lower() if attachment_id else None
        )
    )


_CONNECTOR: Schema = {"type": "object", "properties": {"enforce_multipath": {"type": ["boolean", "null"]}}}
_INITIALIZE = body("os-initialize_connection", {"connector": _CONNECTOR}, required=("connector",))
_CONNECTION = shape(
    {
        "driver_volume_type": shapes.TEXT,
        "data": shape({**shapes.CONNECTION, "enforce_multipath": shapes.TRUTH}),
        "enforce_multipath": shapes.TRUTH,
    }
)


@SERVICE.route(
    "POST",
    _PATH,
    action="os-initialize_connection",
    who="member",
    body=_INITIALIZE,
    answer=shapes.one("connection_info", _CONNECTION),
)
async def initialize_connection(request: Request) -> dict[str, Any]:
    multipath = bool(request.body["os-initialize_connection"]["connector"].get("enforce_multipath"))

    def read(tx: Tx) -> dict[str, Any]:
        found = client_attachments.connection(tx, request.caller, request.settings, request.ids["volume_id"])
        return {**found, "data": {**found["data"], "enforce_multipath": multipath}, "enforce_multipath": multipath}

    return {"connection_info": await request.db.read(read)}


_TERMINATE = body(
    "os-terminate_connection", {"connector": {"type": ["object", "string", "null"]}}, required=("connector",)
)


@SERVICE.route("POST", _PATH, action="os-terminate_connection", who="member", status=202, body=_TERMINATE)
async def terminate_connection(request: Request) -> None:
    await request.db.write(lambda tx: client_attachments.terminate(tx, request.caller, request.ids["volume_id"]))
