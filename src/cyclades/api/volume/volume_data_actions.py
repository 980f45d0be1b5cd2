"""POST /volumes/{volume_id}/action: what moves or makes a volume's bytes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http.errors import HttpRefusal
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, NAME_NOT_EMPTY, UUID, Schema, body, is_true, shape
from cyclades.api.http.times import micros
from cyclades.api.http.versions import Version
from cyclades.api.volume import shapes, since
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid, WrongState
from cyclades.model.images import CONTAINER_FORMATS, DISK_FORMATS, VISIBILITIES
from cyclades.operations import image_create, volume_reimage, volume_retype, volume_revert, volume_upload
from cyclades.store import images, volume_types, volumes
from cyclades.store.database import Tx

_PATH = "/volumes/{volume_id}/action"

_RETYPE = body(
    "os-retype",
    {
        "new_type": NAME_NOT_EMPTY,
        "migration_policy": {"type": ["string", "null"], "enum": ["on-demand", "never", None]},
    },
    required=("new_type",),
)


@SERVICE.route("POST", _PATH, action="os-retype", who="member", status=202, body=_RETYPE)
async def retype(request: Request) -> None:
    asked = request.body["os-retype"]
    may_move = asked.get("migration_policy") == "on-demand"
    await request.db.write(
        lambda tx: volume_retype.start(
            tx, request.caller, request.settings, request.ids["volume_id"], asked["new_type"], may_move=may_move
        )
    )


_REVERT = body("revert", {"snapshot_id": {"anyOf": [UUID, {"type": "null"}]}})


@SERVICE.route("POST", _PATH, action="revert", who="member", status=202, body=_REVERT, since=str(since.REVERT))
async def revert(request: Request) -> None:
    snapshot_id = request.body["revert"].get("snapshot_id")
    wanted = snapshot_id and snapshot_id.lower()
    try:
        await request.db.write(lambda tx: volume_revert.start(tx, request.caller, request.ids["volume_id"], wanted))
    except WrongState as refusal:
        raise HttpRefusal(409, refusal.message) from refusal  # Cinder's own way with this action


_REIMAGE = body("os-reimage", {"image_id": UUID, "reimage_reserved": BOOLEAN}, required=("image_id",))


@SERVICE.route("POST", _PATH, action="os-reimage", who="member", status=202, body=_REIMAGE, since=str(since.REIMAGE))
async def reimage(request: Request) -> None:
    asked = request.body["os-reimage"]
    reserved = is_true(asked.get("reimage_reserved", False))
    await request.db.write(
        lambda tx: volume_reimage.start(
            tx, request.caller, request.ids["volume_id"], asked["image_id"].lower(), reserved=reserved
        )
    )


def _upload(version: Version) -> Schema:
    properties: Schema = {
        "image_name": NAME_NOT_EMPTY,
        "force": BOOLEAN,
        "disk_format": {"enum": ["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "ploop"]},
        "container_format": {"type": ["string", "null"], "maxLength": 255},
    }
    if version >= since.UPLOAD_VISIBILITY:
        properties |= {"visibility": {"enum": list(VISIBILITIES)}, "protected": BOOLEAN}
    return body("os-volume_upload_image", properties, required=("image_name",))


_TYPE = shape(
    {
        "id": UUID,
        "name": shapes.TEXT,
        "description": shapes.TEXT_OR_NULL,
        "is_public": shapes.TRUTH,
        "qos_specs_id": shapes.NULL,
        "created_at": shapes.TIME,
        "updated_at": shapes.TIME_OR_NULL,
        "deleted": {"const": False},
        "deleted_at": shapes.NULL,
    }
)
_UPLOADING = shape(
    {
        "id": UUID,
        "updated_at": shapes.TIME_OR_NULL,
        "status": {"const": "uploading"},
        "display_description": shapes.TEXT_OR_NULL,
        "size": shapes.COUNT,
        "volume_type": _TYPE,
        "image_id": UUID,
        "container_format": {"enum": list(CONTAINER_FORMATS)},
        "disk_format": {"enum": list(DISK_FORMATS)},
        "image_name": shapes.TEXT,
        "protected": shapes.TRUTH,
        "visibility": {"enum": list(VISIBILITIES)},
    }
)


@SERVICE.route(
    "POST",
    _PATH,
    action="os-volume_upload_image",
    who="member",
    status=202,
    body=_upload,
    answer=shapes.one("os-volume_upload_image", _UPLOADING),
)
async def upload_image(request: Request) -> dict[str, Any]:
    asked = request.body["os-volume_upload_image"]
    disk_format = asked.get("disk_format", "raw")
    container_format = asked.get("container_format") or "bare"
    _refuse_other("disk_format", disk_format, DISK_FORMATS)
    _refuse_other("container_format", container_format, CONTAINER_FORMATS)
    default = "private" if request.version >= since.UPLOAD_VISIBILITY else "shared"
    in_use = is_true(asked.get("force", False))
    caller, settings = request.caller, request.settings

    def accept(tx: Tx) -> dict[str, Any]:
        row = volumes.get(tx, request.ids["volume_id"], caller.scope)
        wanted = image_create.Wanted(
            name=asked["image_name"],
            visibility=asked.get("visibility", default),
            disk_format=disk_format,
            container_format=container_format,
            protected=is_true(asked.get("protected", False)),
            properties=images.properties_of_volume(row),
        )
        image_id = volume_upload.start(tx, caller, settings, row.id, wanted, in_use=in_use)
        return {"os-volume_upload_image": _uploading(tx, request, row.id, image_id)}

    return await request.create(accept)


def _refuse_other(field: str, value: str, ours: tuple[str, ...]) -> None:
    if value not in ours:
        text = f"Invalid input for field '{field}': images are made as {' or '.join(ours)}, not as {value!r}."
        raise Invalid("upload-format", text, field=field)


def _uploading(tx: Tx, request: Request, volume_id: str, image_id: str) -> dict[str, Any]:
    row, image = volumes.get(tx, volume_id, None), images.hold_even_deleted(tx, image_id)
    view = {
        "id": row.id,
        "updated_at": micros(row.updated_at),
        "status": row.status,
        "display_description": row.description,
        "size": row.size,
        "volume_type": _type(volume_types.get(tx, row.volume_type_id, None)),
        "image_id": image.id,
        "container_format": image.container_format,
        "disk_format": image.disk_format,
        "image_name": image.name,
    }
    if request.version >= since.UPLOAD_VISIBILITY:
        view |= {"protected": image.protected, "visibility": image.visibility}
    return view


def _type(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "is_public": row.is_public,
        "qos_specs_id": None,
        "created_at": micros(row.created_at),
        "updated_at": micros(row.updated_at),
        "deleted": False,
        "deleted_at": None,
    }
