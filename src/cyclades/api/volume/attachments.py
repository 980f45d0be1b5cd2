"""/attachments: how clients that run instances themselves attach volumes, and what the servers of ours have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import NAME_OR_NULL, UUID, UUID_OR_NULL, Schema, body, shape
from cyclades.api.http.times import micros
from cyclades.api.http.versions import Version
from cyclades.api.volume import filters, shapes, since
from cyclades.api.volume.filters import Filter
from cyclades.api.volume.service import SERVICE
from cyclades.model import attachments as rules
from cyclades.model import capabilities
from cyclades.operations import client_attachments
from cyclades.store import attachments
from cyclades.store.database import Tx
from cyclades.store.schema import attachment

_PATH = "/attachments"
_SINCE = str(since.ATTACHMENTS)
_SORTABLE = {
    "id": "id",
    "status": "status",
    "attach_status": "status",
    "volume_id": "volume_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
_BRIEF: Schema = {
    "id": UUID,
    "status": {"enum": ["reserved", "attaching", "attached", "detaching"]},
    "instance": UUID_OR_NULL,
    "volume_id": UUID,
}
_CONNECTION = shape(
    {
        **shapes.CONNECTION,
        "driver_volume_type": shapes.TEXT,
        "attachment_id": UUID,
        "enforce_multipath": {"type": ["boolean", "null"]},
    }
)
_DETAIL: Schema = {
    **_BRIEF,
    "attached_at": {"anyOf": [shapes.TIME, {"const": ""}]},
    "detached_at": {"const": ""},
    "attach_mode": {"enum": [*rules.MODES, "null"]},
    "connection_info": {"anyOf": [_CONNECTION, shape({})]},
}
_ONE = shapes.one("attachment", shape(_DETAIL))
_MANY = shapes.page("attachments", shape(_BRIEF))
_MANY_DETAILED = shapes.page("attachments", shape(_DETAIL))


def brief(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": row.status,
        "instance": row.server_id or row.instance_id,
        "volume_id": row.volume_id,
    }


def _detail(request: Request, row: Row[Any]) -> dict[str, Any]:
    return {
        **brief(row),
        "attached_at": micros(row.attached_at) or "",
        "detached_at": "",
        "attach_mode": row.mode or "null",
        "connection_info": _connection(request, row),
    }


def _connection(request: Request, row: Row[Any]) -> dict[str, Any]:
    if not request.caller.sees_hosts or row.status == "reserved":
        return {}
    engine = capabilities.engine_of(row.pool, request.settings.storage)
    found = rules.connection(engine=engine, pool=row.pool, volume_id=row.volume_id, mode=row.mode or "rw")
    connector = row.connector or {}
    return {
        **found["data"],
        "driver_volume_type": found["driver_volume_type"],
        "attachment_id": row.id,
        "enforce_multipath": connector.get("enforce_multipath", False),
    }


def _view(tx: Tx, request: Request, attachment_id: str) -> dict[str, Any]:
    return {"attachment": _detail(request, attachments.by_id(tx, attachment_id, request.caller.scope))}


@SERVICE.route("GET", f"{_PATH}/{{attachment_id}}", who="reader", since=_SINCE, answer=_ONE)
async def show(request: Request) -> dict[str, Any]:
    return await request.db.read(lambda tx: _view(tx, request, request.ids["attachment_id"]))


def _instance(_: Request, text: str) -> Any:
    return (attachment.c.server_id == text) | (attachment.c.instance_id == text)


_FILTERS = filters.table(
    "attachment",
    {
        "volume_id": Filter(filters.equal(attachment.c.volume_id)),
        "status": Filter(filters.equal(attachment.c.status)),
        "instance_id": Filter(_instance),
        "attach_status": Filter(filters.equal(attachment.c.status)),
        "project_id": Filter(filters.equal(attachment.c.project_id), admins=True),
    },
)
_QUERY = filters.parameters(_FILTERS, _SORTABLE)


@SERVICE.route("GET", _PATH, who="reader", since=_SINCE, answer=_MANY, query=_QUERY)
async def every(request: Request) -> dict[str, Any]:
    return {"attachments": [brief(row) for row in await _rows(request)]}


@SERVICE.route("GET", f"{_PATH}/detail", who="reader", since=_SINCE, answer=_MANY_DETAILED, query=_QUERY)
async def detail(request: Request) -> dict[str, Any]:
    return {"attachments": [_detail(request, row) for row in await _rows(request)]}


async def _rows(request: Request) -> list[Row[Any]]:
    """One page. There is no link to the next in this list: clients go on after the last one's id."""
    found = filters.narrowed(request, attachments.query(filters.scope(request)), _FILTERS)
    wanted = lists.page(request, _SORTABLE)
    return (await request.db.read(lambda tx: attachments.page(tx, found, wanted))).rows


# What clients say of where they open the volume. They say more than is read here, all of it is kept.
_CONNECTOR: Schema = {
    "properties": {
        "host": NAME_OR_NULL,
        "mountpoint": NAME_OR_NULL,
        "mode": {"enum": [*rules.MODES, None]},
        "enforce_multipath": {"type": ["boolean", "null"]},
    },
    "maxProperties": 64,
}


def _create(version: Version) -> Schema:
    properties: Schema = {
        "volume_uuid": UUID,
        "instance_uuid": UUID,
        "connector": {**_CONNECTOR, "type": ["object", "null"]},
    }
    if version >= since.ATTACHMENT_MODE:
        properties["mode"] = {"type": "string", "enum": list(rules.MODES)}
    return body("attachment", properties, required=("volume_uuid",))


@SERVICE.route("POST", _PATH, who="member", since=_SINCE, body=_create, answer=_ONE)
async def create(request: Request) -> dict[str, Any]:
    asked = request.body["attachment"]
    instance_id = asked.get("instance_uuid")

    def accept(tx: Tx) -> dict[str, Any]:
        attachment_id = client_attachments.create(
            tx,
            request.caller,
            asked["volume_uuid"].lower(),
            instance_id=instance_id.lower() if instance_id else None,
            connector=asked.get("connector"),
            mode=asked.get("mode"),
        )
        return _view(tx, request, attachment_id)

    return await request.create(accept)


_UPDATE = body(
    "attachment", {"connector": {**_CONNECTOR, "type": "object", "minProperties": 1}}, required=("connector",)
)


@SERVICE.route("PUT", f"{_PATH}/{{attachment_id}}", who="member", since=_SINCE, body=_UPDATE, answer=_ONE)
async def update(request: Request) -> dict[str, Any]:
    def change(tx: Tx) -> dict[str, Any]:
        attachment_id = request.ids["attachment_id"]
        client_attachments.update(tx, request.caller, attachment_id, request.body["attachment"]["connector"])
        return _view(tx, request, attachment_id)

    return await request.db.write(change)


@SERVICE.route("DELETE", f"{_PATH}/{{attachment_id}}", who="member", since=_SINCE, answer=_MANY)
async def delete(request: Request) -> dict[str, Any]:
    def change(tx: Tx) -> list[dict[str, Any]]:
        return [brief(row) for row in client_attachments.remove(tx, request.caller, request.ids["attachment_id"])]

    return {"attachments": await request.db.write(change)}


_COMPLETE: Schema = {"type": "object", "properties": {"os-complete": {}}, "required": ["os-complete"]}


@SERVICE.route(
    "POST",
    f"{_PATH}/{{attachment_id}}/action",
    action="os-complete",
    who="member",
    status=204,
    body=_COMPLETE,
    since=str(since.ATTACHMENT_COMPLETE),
)
async def complete(request: Request) -> None:
    await request.db.write(lambda tx: client_attachments.complete(tx, request.caller, request.ids["attachment_id"]))
