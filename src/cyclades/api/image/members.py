"""/v2/images/{image_id}/members: the projects that a shared image was offered to."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.api.image import shapes, views
from cyclades.api.image.service import SERVICE
from cyclades.model.images import MEMBER_STATUSES
from cyclades.operations import image_share
from cyclades.store.database import Tx

_PATH = "/v2/images/{image_id}/members"
_CREATE: Schema = {
    "type": "object",
    "properties": {"member": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[0-9A-Za-z-]+$"}},
    "required": ["member"],
}
_UPDATE: Schema = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": list(MEMBER_STATUSES)}},
    "required": ["status"],
}


@SERVICE.route("GET", _PATH, who="reader", answer=shapes.MEMBERS)
async def every(request: Request) -> dict[str, Any]:
    rows = await request.db.read(lambda tx: image_share.members_of(tx, request.caller, request.ids["image_id"]))
    return {"members": [views.member(row) for row in rows], "schema": "/v2/schemas/members"}


@SERVICE.route("POST", _PATH, who="member", body=_CREATE, answer=shapes.MEMBER)
async def create(request: Request) -> dict[str, Any]:
    image_id, project_id = request.ids["image_id"], request.body["member"]

    def add(tx: Tx) -> dict[str, Any]:
        image_share.offer(tx, request.caller, image_id, project_id)
        return views.member(image_share.member_of(tx, request.caller, image_id, project_id))

    return await request.create(add)


@SERVICE.route("GET", f"{_PATH}/{{member_id}}", who="reader", answer=shapes.MEMBER)
async def show(request: Request) -> dict[str, Any]:
    ids = request.ids
    return views.member(
        await request.db.read(lambda tx: image_share.member_of(tx, request.caller, ids["image_id"], ids["member_id"]))
    )


@SERVICE.route("PUT", f"{_PATH}/{{member_id}}", who="member", body=_UPDATE, answer=shapes.MEMBER)
async def update(request: Request) -> dict[str, Any]:
    image_id, project_id = request.ids["image_id"], request.ids["member_id"]

    def change(tx: Tx) -> dict[str, Any]:
        image_share.answer(tx, request.caller, image_id, project_id, request.body["status"])
        return views.member(image_share.member_of(tx, request.caller, image_id, project_id))

    return await request.db.write(change)


@SERVICE.route("DELETE", f"{_PATH}/{{member_id}}", who="member", status=204)
async def delete(request: Request) -> None:
    ids = request.ids
    await request.db.write(lambda tx: image_share.withdraw(tx, request.caller, ids["image_id"], ids["member_id"]))
