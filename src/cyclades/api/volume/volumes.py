"""/volumes"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import (
    BOOLEAN,
    METADATA,
    NAME_OR_NULL,
    TEXT_OR_NULL,
    UUID_OR_NULL,
    WHOLE,
    Schema,
    body,
    is_true,
)
from cyclades.api.http.versions import Version
from cyclades.api.volume import since, views
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid
from cyclades.operations import volume_create, volume_delete
from cyclades.operations.new_volume import Source, Wanted
from cyclades.store import volume_types, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import volume

_SORTABLE = ("id", "name", "status", "size", "created_at", "updated_at", "bootable", "availability_zone")
_SOURCES: dict[str, Source] = {
    "imageRef": "image",
    "image_id": "image",
    "snapshot_id": "snapshot",
    "source_volid": "volume",
}


def _create(version: Version) -> Schema:
    hints: Schema = {"type": ["object", "null"]}
    schema = body(
        "volume",
        {
            "size": {**WHOLE, "type": ["integer", "string", "null"]},
            "name": NAME_OR_NULL,
            "description": TEXT_OR_NULL,
            "display_name": NAME_OR_NULL,
            "display_description": TEXT_OR_NULL,
            "volume_type": NAME_OR_NULL,
            "metadata": {"anyOf": [METADATA, {"type": "null"}]},
            "snapshot_id": UUID_OR_NULL,
            "source_volid": UUID_OR_NULL,
            "imageRef": {"type": ["string", "null"], "maxLength": 255},
            "image_id": {"type": ["string", "null"], "maxLength": 255},
            "availability_zone": NAME_OR_NULL,
            "multiattach": {"anyOf": [BOOLEAN, {"type": "null"}]},
            "consistencygroup_id": {"type": "null"},
            "group_id": {"type": "null"},
            "backup_id": {"type": "null"},
        },
        closed=version >= since.UNKNOWN_FIELDS_REFUSED,
    )
    schema["properties"] |= {"OS-SCH-HNT:scheduler_hints": hints, "os:scheduler_hints": hints}
    return schema


@SERVICE.route("POST", "/volumes", who="member", status=202, body=_create)
async def create(request: Request) -> dict[str, Any]:
    asked = request.body["volume"]
    if is_true(asked.get("multiattach")):
        raise Invalid(
            "multiattach", "Multi-attach is asked for by the volume type, not by the volume.", field="multiattach"
        )
    sources = [(kind, asked[key]) for key, kind in _SOURCES.items() if asked.get(key)]
    if len(sources) > 1:
        raise Invalid("one-source", "A volume is made from one source: name an image, a snapshot or a volume.")
    nothing: tuple[Source, str | None] = ("blank", None)
    source, source_id = sources[0] if sources else nothing
    wanted = Wanted(
        size=None if asked.get("size") is None else int(asked["size"]),
        name=_trimmed(asked.get("name", asked.get("display_name"))),
        description=asked.get("description", asked.get("display_description")),
        type=asked.get("volume_type") or None,
        source=source,
        source_id=source_id,
        metadata=asked.get("metadata") or {},
        availability_zone=asked.get("availability_zone") or None,
    )
    caller, settings = request.caller, request.settings

    def accept(tx: Tx) -> dict[str, Any]:
        volume_id = volume_create.start(tx, caller, settings, wanted)
        return _view(tx, request, volume_id, changed=True)

    return {"volume": await request.create(accept)}


def _trimmed(name: str | None) -> str | None:
    return name.strip() if name is not None else None


def _view(tx: Tx, request: Request, volume_id: str, *, changed: bool = False) -> dict[str, Any]:
    row = volumes.get(tx, volume_id, request.caller.scope)
    attached = volumes.attachments_of(tx, [volume_id]).get(volume_id, [])
    return views.volume(request, row, volume_types.name_of(tx, row.volume_type_id), attached, changed=changed)


@SERVICE.route("GET", "/volumes/{volume_id}", who="reader")
async def show(request: Request) -> dict[str, Any]:
    return {"volume": await request.db.read(lambda tx: _view(tx, request, request.ids["volume_id"]))}


@SERVICE.route("GET", "/volumes", who="reader")
async def brief(request: Request) -> dict[str, Any]:
    return await _list(request, detail=False)


@SERVICE.route("GET", "/volumes/detail", who="reader")
async def detail(request: Request) -> dict[str, Any]:
    return await _list(request, detail=True)


async def _list(request: Request, *, detail: bool) -> dict[str, Any]:
    found = _filtered(request)
    wanted = lists.page(request, _SORTABLE)
    with_count = request.version >= since.LIST_COUNT and request.flag("with_count")

    def read(tx: Tx) -> dict[str, Any]:
        rows, _ = volumes.page(tx, found, wanted)
        answer: dict[str, Any] = {}
        if detail:
            names = volume_types.names(tx)
            attached = volumes.attachments_of(tx, [row.id for row in rows])
            answer["volumes"] = [
                views.volume(request, row, names.get(row.volume_type_id), attached.get(row.id, ())) for row in rows
            ]
        else:
            answer["volumes"] = [views.volume_brief(request, row) for row in rows]
        if rows and len(rows) == wanted.limit:  # as Cinder does, also when nothing comes after it
            answer["volumes_links"] = lists.next_link(request, rows[-1].id)
        if with_count:
            answer["count"] = volumes.count(tx, found)
        return answer

    return await request.db.read(read)


def _filtered(request: Request) -> sa.Select[Any]:
    """The list's rows, by its filters. What a list does not know is passed over, as Cinder does."""
    caller = request.caller
    everything = caller.is_admin and request.flag("all_tenants")
    found = volumes.query(None if everything else caller.project_id)
    if everything and (project := request.one("project_id")):
        found = found.where(volume.c.project_id == project)
    for name in ("name", "status", "availability_zone"):
        if (value := request.one(name)) is not None:
            found = found.where(volume.c[name] == value)
    if (value := request.one("bootable")) is not None:
        found = found.where(volume.c.bootable == (value.lower() in ("true", "1")))
    if (size := request.whole("size")) is not None:
        found = found.where(volume.c.size == size)
    if (like := request.one("name~")) is not None and request.version >= since.NAME_FILTER_LIKE:
        found = found.where(volume.c.name.contains(like, autoescape=True))
    if (text := request.one("metadata")) is not None:
        for key, value in _metadata(text).items():
            found = found.where(volume.c.metadata[key].as_string() == value)
    return found


def _metadata(text: str) -> dict[str, str]:
    """The filter's value: an object as JSON, or as Python writes a dict (cinderclient does)."""
    try:
        value = msgspec.json.decode(text.replace("'", '"').replace('u"', '"'))
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise Invalid("metadata-filter", "The metadata filter must be an object of strings.", field="metadata")
    return value


_UPDATE = body(
    "volume",
    {
        "name": NAME_OR_NULL,
        "description": TEXT_OR_NULL,
        "display_name": NAME_OR_NULL,
        "display_description": TEXT_OR_NULL,
        "metadata": METADATA,
    },
    closed=False,
)


@SERVICE.route("PUT", "/volumes/{volume_id}", who="member", body=_UPDATE)
async def update(request: Request) -> dict[str, Any]:
    asked = request.body["volume"]
    values = {name: asked[name] for name in ("name", "description", "metadata") if name in asked}
    for old, new in (("display_name", "name"), ("display_description", "description")):
        if old in asked and new not in values:
            values[new] = asked[old]
    if not values:
        raise Invalid("update-empty", "Name a field to change: name, description or metadata.")

    def change(tx: Tx) -> dict[str, Any]:
        row = volumes.get(tx, request.ids["volume_id"], request.caller.scope)
        volumes.change(tx, row.id, **values)
        return _view(tx, request, row.id, changed=True)

    return {"volume": await request.db.write(change)}


@SERVICE.route("DELETE", "/volumes/{volume_id}", who="member", status=202)
async def delete(request: Request) -> None:
    await request.db.write(lambda tx: volume_delete.start(tx, request.caller, request.ids["volume_id"]))
