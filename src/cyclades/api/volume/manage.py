"""Disks and snapshots that a pool has and Cyclades does not: adopted, listed, let go of. For admins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cyclades.api.http import lists
from cyclades.api.http.bodies import Body
from cyclades.api.http.ended import until_ended
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import (
    BOOLEAN,
    METADATA,
    NAME,
    NAME_OR_NULL,
    TEXT_OR_NULL,
    UUID,
    UUID_OR_NULL,
    Schema,
    body,
    is_true,
    shape,
)
from cyclades.api.http.versions import Version
from cyclades.api.volume import filters, shapes, since, views
from cyclades.api.volume.host_names import pool_of
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid, Unavailable
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.model.units import gib_to_hold
from cyclades.operations import (
    pool_adoptable,
    snapshot_manage,
    snapshot_unmanage,
    volume_manage,
    volume_unmanage,
)
from cyclades.store import snapshots, volume_types, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import volume

_SINCE = str(since.MANAGEABLE)
_LOOK_LIMIT = 20.0  # seconds that an engine may take to look through a pool
_REFERENCE: Schema = {
    "anyOf": [
        NAME,
        {"type": "object", "properties": {"source-name": NAME}, "required": ["source-name"]},
    ]
}


def _source(ref: Any) -> str:
    """The name that a reference stands for."""
    name: str = ref if isinstance(ref, str) else ref["source-name"]
    return name


def _pool(request: Request, host: str | None, cluster: str | None) -> str:
    """The pool that a client's `host` names."""
    if cluster is not None:
        raise Invalid("cluster", f"Cluster '{cluster}' not found: there are none.", field="cluster")
    pool = pool_of(host or "")
    if not pool or request.settings.pool_settings(pool) is None:
        raise Invalid("host", f"Host '{host}' not found.", field="host")
    return pool


# --- volumes --------------------------------------------------------------------------------------


def _manage(version: Version) -> Schema:
    properties: Schema = {
        "host": NAME_OR_NULL,
        "ref": _REFERENCE,
        "name": NAME_OR_NULL,
        "description": TEXT_OR_NULL,
        "volume_type": NAME_OR_NULL,
        "availability_zone": NAME_OR_NULL,
        "bootable": {"anyOf": [BOOLEAN, {"type": "null"}]},
        "metadata": {"anyOf": [METADATA, {"type": "null"}]},
    }
    if version >= since.MANAGE_IN_CLUSTER:
        properties["cluster"] = NAME_OR_NULL
    return body("volume", properties, required=("ref",))


async def manage(request: Request) -> dict[str, Any]:
    asked = request.body["volume"]
    wanted = volume_manage.Wanted(
        pool=_pool(request, asked.get("host"), asked.get("cluster")),
        source=_source(asked["ref"]),
        name=asked.get("name"),
        description=asked.get("description"),
        type=asked.get("volume_type") or None,
        metadata=asked.get("metadata") or {},
        availability_zone=asked.get("availability_zone") or None,
        bootable=is_true(asked.get("bootable")),
    )

    def accept(tx: Tx) -> dict[str, Any]:
        volume_id = volume_manage.start(tx, request.caller, request.settings, wanted)
        row = volumes.get(tx, volume_id, None)
        type_name = volume_types.name_of(tx, row.volume_type_id)
        return {"volume": views.volume(request, row, type_name, (), changed=True)}

    return await request.create(accept)


_UNMANAGE: Schema = {
    "type": "object",
    "properties": {"os-unmanage": {}},
    "required": ["os-unmanage"],
    "additionalProperties": False,
}


@SERVICE.route("POST", "/volumes/{volume_id}/action", action="os-unmanage", who="admin", status=202, body=_UNMANAGE)
async def unmanage(request: Request) -> None:
    await request.db.write(lambda tx: volume_unmanage.start(tx, request.caller, request.ids["volume_id"]))


# --- snapshots ------------------------------------------------------------------------------------

_MANAGE_SNAPSHOT = body(
    "snapshot",
    {
        "volume_id": UUID,
        "ref": _REFERENCE,
        "name": NAME_OR_NULL,
        "description": TEXT_OR_NULL,
        "metadata": {"anyOf": [METADATA, {"type": "null"}]},
    },
    required=("volume_id", "ref"),
)


async def manage_snapshot(request: Request) -> dict[str, Any]:
    asked = request.body["snapshot"]
    wanted = snapshot_manage.Wanted(
        volume_id=asked["volume_id"].lower(),
        source=_source(asked["ref"]),
        name=asked.get("name"),
        description=asked.get("description"),
        metadata=asked.get("metadata") or {},
    )

    def accept(tx: Tx) -> dict[str, Any]:
        snapshot_id = snapshot_manage.start(tx, request.caller, request.settings, wanted)
        return {"snapshot": views.snapshot(request, snapshots.get(tx, snapshot_id, None), changed=True)}

    return await request.create(accept)


@SERVICE.route("POST", "/snapshots/{snapshot_id}/action", action="os-unmanage", who="admin", status=202, body=_UNMANAGE)
async def unmanage_snapshot(request: Request) -> None:
    await request.db.write(lambda tx: snapshot_unmanage.start(tx, request.caller, request.ids["snapshot_id"]))


# --- lists ----------------------------------------------------------------------------------------

_BRIEF = ("reference", "size", "safe_to_manage", "source_reference")
_NAMED = shapes.one("source-name", shapes.TEXT)
_SHOWN: Schema = {
    "reference": _NAMED,
    "size": shapes.COUNT,
    "safe_to_manage": shapes.TRUTH,
    "source_reference": _NAMED,
    "reason_not_safe": shapes.TEXT_OR_NULL,
    "cinder_id": UUID_OR_NULL,
    "extra_info": shapes.NULL,
}
_QUERY = lists.parameters(("reference", "size")) | {"host": filters.TEXT, "cluster": filters.TEXT}


async def _volumes(request: Request) -> list[dict[str, Any]]:
    pool, found = await _adoptable(request)
    rows = await request.db.read(lambda tx: tx.execute(volumes.query(None).where(volume.c.pool == pool)).all())
    managed = [_managed(volume_disk(row.id), row.id, row.size) for row in rows]
    return managed + [_entry(**each) for each in found if each["snapshot_of"] is None]


async def _snapshots(request: Request) -> list[dict[str, Any]]:
    pool, found = await _adoptable(request)
    rows = await request.db.read(lambda tx: tx.execute(snapshots.query_of_pool(pool)).all())
    managed = [_managed(snapshot_disk(row.id), row.id, row.size, volume_disk(row.volume_id)) for row in rows]
    return managed + [_entry(**each) for each in found if each["snapshot_of"] is not None]


async def _adoptable(request: Request) -> tuple[str, list[dict[str, Any]]]:
    """The pool that is asked for, and what it has (`pools.base.Adoptable`)."""
    pool = _pool(request, request.one("host"), request.one("cluster"))
    op_id = await request.db.write(lambda tx: pool_adoptable.start(tx, request.caller, pool))
    ended = await until_ended(request.db, op_id, _LOOK_LIMIT)
    if ended is None or ended.state != "done":
        reason = ended.reason if ended is not None else "No engine has answered in time."
        raise Unavailable("pool-look", f"Pool {pool} cannot be looked at now: {reason}")
    return pool, ended.data["found"]


def _entry(*, name: str, size: int, snapshot_of: str | None, reason: str | None) -> dict[str, Any]:
    """`size` is bytes."""
    return {
        "reference": {"source-name": name},
        "size": gib_to_hold(size),
        "safe_to_manage": reason is None,
        "reason_not_safe": reason,
        "cinder_id": None,
        "extra_info": None,
        **_of(snapshot_of),
    }


def _managed(name: str, resource_id: str, size: int, snapshot_of: str | None = None) -> dict[str, Any]:
    """`size` is GiB."""
    return {
        "reference": {"source-name": name},
        "size": size,
        "safe_to_manage": False,
        "reason_not_safe": "It is already managed.",
        "cinder_id": resource_id,
        "extra_info": None,
        **_of(snapshot_of),
    }


def _of(snapshot_of: str | None) -> dict[str, Any]:
    return {} if snapshot_of is None else {"source_reference": {"source-name": snapshot_of}}


def _page(request: Request, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """This list is not the database's: it is sorted here."""
    wanted = lists.page(request, ("reference", "size"), default="reference:desc")
    for key in reversed([key for key in wanted.keys if key.name != "id"]):
        by = (lambda entry: entry["size"]) if key.name == "size" else _name
        entries.sort(key=by, reverse=key.descending)
    if wanted.marker is not None:
        marker = filters.mapping("marker", wanted.marker).get("source-name")
        place = next((i for i, entry in enumerate(entries) if _name(entry) == marker), None)
        if place is None:
            raise Invalid("marker", f"The marker {wanted.marker} is not in this list.", field="marker")
        entries = entries[place + 1 :]
    return entries[wanted.offset : wanted.offset + wanted.limit]


def _name(entry: dict[str, Any]) -> str:
    name: str = entry["reference"]["source-name"]
    return name


# --- paths ----------------------------------------------------------------------------------------

Create = Callable[[Request], Awaitable[dict[str, Any]]]
Entries = Callable[[Request], Awaitable[list[dict[str, Any]]]]


def _routes(
    path: str, kind: str, create: Create, entries: Entries, body: Body, answer: Schema, since: str | None
) -> None:
    """The same three routes for each of Cinder's older and newer paths. Only snapshots have what they are of."""
    shown = [name for name in _SHOWN if name != "source_reference" or kind == "manageable-snapshots"]
    one, brief_one = (shape({name: _SHOWN[name] for name in shown if name in of}) for of in (_SHOWN, _BRIEF))

    @SERVICE.route("POST", path, who="admin", status=202, body=body, answer=answer, since=since)
    async def post(request: Request) -> dict[str, Any]:
        return await create(request)

    @SERVICE.route("GET", path, who="admin", answer=shapes.page(kind, brief_one), query=_QUERY, since=since)
    async def brief(request: Request) -> dict[str, Any]:
        page = _page(request, await entries(request))
        return {kind: [{key: entry[key] for key in _BRIEF if key in entry} for entry in page]}

    @SERVICE.route("GET", f"{path}/detail", who="admin", answer=shapes.page(kind, one), query=_QUERY, since=since)
    async def detail(request: Request) -> dict[str, Any]:
        return {kind: _page(request, await entries(request))}


for _path, _since in (("/os-volume-manage", None), ("/manageable_volumes", _SINCE)):
    _made = shapes.one("volume", shapes.VOLUME_CHANGED)
    _routes(_path, "manageable-volumes", manage, _volumes, _manage, _made, _since)
for _path, _since in (("/os-snapshot-manage", None), ("/manageable_snapshots", _SINCE)):
    _made = shapes.one("snapshot", shapes.SNAPSHOT_CHANGED)
    _routes(_path, "manageable-snapshots", manage_snapshot, _snapshots, _MANAGE_SNAPSHOT, _made, _since)
