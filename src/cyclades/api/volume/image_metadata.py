"""What a volume keeps of its image: POST /volumes/{volume_id}/action with os-set_image_metadata and the like."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import METADATA, body
from cyclades.api.volume import shapes
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid, NotFound
from cyclades.store import volumes
from cyclades.store.database import Tx

_PATH = "/volumes/{volume_id}/action"
_ANSWER = shapes.one("metadata", shapes.TEXTS)

_SET = body("os-set_image_metadata", {"metadata": METADATA}, required=("metadata",))


@SERVICE.route("POST", _PATH, action="os-set_image_metadata", who="member", body=_SET, answer=_ANSWER)
async def merge(request: Request) -> dict[str, Any]:
    new = request.body["os-set_image_metadata"]["metadata"]

    def write(tx: Tx) -> dict[str, str]:
        row = volumes.hold(tx, request.ids["volume_id"], request.caller.scope)
        merged = {**(row.image_metadata or {}), **new}
        most = request.settings.limits.metadata_items
        if len(merged) > max(most, len(row.image_metadata or {})):
            raise Invalid("metadata-items", f"At most {most} metadata items are kept.", field="metadata")
        volumes.change(tx, row.id, image_metadata=merged)
        return merged

    return {"metadata": await request.db.write(write)}


_UNSET = body(
    "os-unset_image_metadata", {"key": {"type": "string", "minLength": 1, "maxLength": 255}}, required=("key",)
)


@SERVICE.route("POST", _PATH, action="os-unset_image_metadata", who="member", body=_UNSET)
async def remove_one(request: Request) -> None:
    key = request.body["os-unset_image_metadata"]["key"]

    def write(tx: Tx) -> None:
        row = volumes.hold(tx, request.ids["volume_id"], request.caller.scope)
        left = dict(row.image_metadata or {})
        if key not in left:
            raise NotFound("metadata-item", key)
        del left[key]
        volumes.change(tx, row.id, image_metadata=left)

    await request.db.write(write)


@SERVICE.route("POST", _PATH, action="os-show_image_metadata", who="reader", answer=_ANSWER)
async def show(request: Request) -> dict[str, Any]:
    row = await request.db.read(lambda tx: volumes.get(tx, request.ids["volume_id"], request.caller.scope))
    return {"metadata": row.image_metadata or {}}
