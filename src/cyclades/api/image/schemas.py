"""/v2/schemas: the form of an answer, for clients that ask."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import UUID, Schema
from cyclades.api.image import shapes
from cyclades.api.image.attributes import READ_ONLY, WRITABLE
from cyclades.api.image.service import SERVICE
from cyclades.model.images import MEMBER_STATUSES

_IMAGE: Schema = {
    "name": "image",
    "properties": {
        "id": UUID,
        **WRITABLE,
        **{name: {**form, "readOnly": True} for name, form in READ_ONLY.items()},
    },
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
_IMAGES: Schema = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": _IMAGE},
        "first": {"type": "string"},
        "next": {"type": "string"},
        "schema": {"type": "string"},
    },
    "links": [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
_MEMBER: Schema = {
    "name": "member",
    "properties": {
        "image_id": UUID,
        "member_id": {"type": "string"},
        "status": {"type": "string", "enum": list(MEMBER_STATUSES)},
        "created_at": {"type": "string"},
        "updated_at": {"type": "string"},
        "schema": {"type": "string", "readOnly": True},
    },
}
_MEMBERS: Schema = {
    "name": "members",
    "properties": {"members": {"type": "array", "items": _MEMBER}, "schema": {"type": "string"}},
    "links": [{"rel": "describedby", "href": "{schema}"}],
}


@SERVICE.route("GET", "/v2/schemas/image", who="token", answer=shapes.A_SCHEMA)
async def image(request: Request) -> dict[str, Any]:
    return _IMAGE


@SERVICE.route("GET", "/v2/schemas/images", who="token", answer=shapes.A_SCHEMA)
async def images(request: Request) -> dict[str, Any]:
    return _IMAGES


@SERVICE.route("GET", "/v2/schemas/member", who="token", answer=shapes.A_SCHEMA)
async def member(request: Request) -> dict[str, Any]:
    return _MEMBER


@SERVICE.route("GET", "/v2/schemas/members", who="token", answer=shapes.A_SCHEMA)
async def members(request: Request) -> dict[str, Any]:
    return _MEMBERS
