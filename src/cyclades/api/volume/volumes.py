"""/volumes"""

from __future__ import annotations

from typing import Any

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
    shape,
)
from cyclades.api.http.versions import Version
from cyclades.api.volume import filters, shapes, since, views, volume_filters
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Forbidden, Invalid, WrongState
from cyclades.operations import volume_create, volume_create_attached, volume_delete, volume_purge
from cyclades.operations.new_volume import Source, Wanted, check_metadata
from cyclades.store import volume_types, volumes
from cyclades.store.database import Tx

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
            "server_id": UUID_OR_NULL,  # Cyclades' own, whatever the version: made and attached in one request
        },
        closed=version >= since.UNKNOWN_FIELDS_REFUSED,
    )
    schema["properties"] |= {"OS-SCH-HNT:scheduler_hints": hints, "os:scheduler_hints": hints}
    return schema


_CHANGED = shapes.one("volume", shapes.VOLUME_CHANGED)


@SERVICE.route("POST", "/volumes", who="member", status=202, body=_create, answer=_CHANGED)
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
    server_id = asked["server_id"].lower() if asked.get("server_id") else None

    def accept(tx: Tx) -> dict[str, Any]:
        if server_id is None:
            volume_id = volume_create.start(tx, caller, settings, wanted)
        else:
            volume_id = volume_create_attached.start(tx, caller, settings, wanted, server_id)
        return _view(tx, request, volume_id, changed=True)

    return {"volume": await request.create(accept)}


def _trimmed(name: str | None) -> str | None:
    return name.strip() if name is not None else None


def _view(tx: Tx, request: Request, volume_id: str, *, changed: bool = False) -> dict[str, Any]:
    row = volumes.get(tx, volume_id, request.caller.scope)
    attached = volumes.attachments_of(tx, [volume_id]).get(volume_id, [])
    return views.volume(request, row, volume_types.name_of(tx, row.volume_type_id), attached, changed=changed)


@SERVICE.route("GET", "/volumes/{volume_id}", who="reader", answer=shapes.one("volume", shapes.VOLUME))
async def show(request: Request) -> dict[str, Any]:
    return {"volume": await request.db.read(lambda tx: _view(tx, request, request.ids["volume_id"]))}


_QUERY = filters.parameters(volume_filters.FILTERS, volume_filters.SORTABLE, counted=True)
_BRIEF = shapes.page("volumes", shapes.VOLUME_BRIEF, links="volumes_links", counted=True)
_DETAIL = shapes.page("volumes", shapes.VOLUME, links="volumes_links", counted=True)


@SERVICE.route("GET", "/volumes", who="reader", answer=_BRIEF, query=_QUERY)
async def brief(request: Request) -> dict[str, Any]:
    return await _list(request, detail=False)


@SERVICE.route("GET", "/volumes/detail", who="reader", answer=_DETAIL, query=_QUERY)
async def detail(request: Request) -> dict[str, Any]:
    return await _list(request, detail=True)


async def _list(request: Request, *, detail: bool) -> dict[str, Any]:
    found = volume_filters.found(request)
    wanted = lists.page(request, volume_filters.SORTABLE)
    with_count = request.version >= since.LIST_COUNT and request.flag("with_count")

    def read(tx: Tx) -> dict[str, Any]:
        rows, _ = volumes.page(tx, found, wanted, filters.scope(request))
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


_UPDATE = body(
    "volume",
    {
        "name": NAME_OR_NULL,
        "description": TEXT_OR_NULL,
        "display_name": NAME_OR_NULL,
        "display_description": TEXT_OR_NULL,
        "metadata": METADATA,
    },
)


@SERVICE.route("PUT", "/volumes/{volume_id}", who="member", body=_UPDATE, answer=_CHANGED)
async def update(request: Request) -> dict[str, Any]:
    asked = request.body["volume"]
    values = {name: asked[name] for name in ("name", "description", "metadata") if name in asked}
    for old, new in (("display_name", "name"), ("display_description", "description")):
        if old in asked and new not in values:
            values[new] = asked[old]
    if not values and request.version >= since.UNKNOWN_FIELDS_REFUSED:
        raise Invalid("update-empty", "Name a field to change: name, description or metadata.")
    if "name" in values:
        values["name"] = _trimmed(values["name"])
    check_metadata(request.settings, values.get("metadata", {}))

    def change(tx: Tx) -> dict[str, Any]:
        row = volumes.hold(tx, request.ids["volume_id"], request.caller.scope)
        if row.status == "maintenance":
            raise WrongState("volume-update", "The volume cannot be updated during maintenance.", resource="volume")
        if values:
            volumes.change(tx, row.id, **values)
        return _view(tx, request, row.id, changed=True)

    return {"volume": await request.db.write(change)}


_SUMMARY = shape(
    {
        "total_count": shapes.COUNT,
        "total_size": shapes.COUNT,
        "metadata": {"type": "object", "additionalProperties": shapes.each(shapes.TEXT)},
    }
)


@SERVICE.route(
    "GET",
    "/volumes/summary",
    who="reader",
    since=str(since.SUMMARY),
    answer=shapes.one("volume-summary", _SUMMARY),
    query=filters.parameters(volume_filters.FILTERS),
)
async def summary(request: Request) -> dict[str, Any]:
    found = volume_filters.found(request)

    def read(tx: Tx) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "total_count": volumes.count(tx, found),
            "total_size": volumes.total_size(tx, found),
        }
        if request.version >= since.SUMMARY_METADATA:
            answer["metadata"] = volumes.metadata_values(tx, found)
        return answer

    return {"volume-summary": await request.db.read(read)}


@SERVICE.route(
    "DELETE",
    "/volumes/{volume_id}",
    who="member",
    status=202,
    query={"cascade": filters.TRUTH, "force": filters.TRUTH},
)
async def delete(request: Request) -> None:
    caller, volume_id = request.caller, request.ids["volume_id"]
    cascade = request.flag("cascade")
    force = request.version >= since.DELETE_FORCE and request.flag("force")
    if force and not caller.is_admin:
        raise Forbidden("delete-force", "Only admins delete by force.")
    if cascade or force:
        await request.db.write(lambda tx: volume_purge.start(tx, caller, volume_id, cascade=cascade, force=force))
    else:
        await request.db.write(lambda tx: volume_delete.start(tx, caller, volume_id))
