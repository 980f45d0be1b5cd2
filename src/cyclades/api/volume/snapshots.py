"""/snapshots"""

from __future__ import annotations

from typing import Any

from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, METADATA, NAME_OR_NULL, TEXT_OR_NULL, UUID_OR_NULL, Schema, body, is_true
from cyclades.api.http.versions import Version
from cyclades.api.volume import filters, shapes, since, snapshot_filters, views
from cyclades.api.volume.service import SERVICE, VERSIONS
from cyclades.model.errors import Invalid
from cyclades.operations import snapshot_create, snapshot_delete
from cyclades.store import snapshots
from cyclades.store.database import Tx


def _create(version: Version) -> Schema:
    return body(
        "snapshot",
        {
            "volume_id": UUID_OR_NULL,  # Cinder finds no volume by the name null: 404, not 400
            "name": NAME_OR_NULL,
            "description": TEXT_OR_NULL,
            "display_name": NAME_OR_NULL,
            "display_description": TEXT_OR_NULL,
            "force": {"anyOf": [BOOLEAN, {"type": "null"}]},
            "metadata": {"anyOf": [METADATA, {"type": "null"}]},
        },
        required=("volume_id",),
        closed=version >= since.UNKNOWN_FIELDS_REFUSED,
    )


_CHANGED = shapes.one("snapshot", shapes.SNAPSHOT_CHANGED)


@SERVICE.route("POST", "/snapshots", who="member", status=202, body=_create, answer=_CHANGED)
async def create(request: Request) -> dict[str, Any]:
    asked = request.body["snapshot"]
    force = asked.get("force")
    always = request.version >= since.SNAPSHOT_IN_USE_WITHOUT_FORCE
    if always and force is not None and not is_true(force):
        raise Invalid("snapshot-force", "From microversion 3.66 on, 'force' can only be true.", field="force")

    def accept(tx: Tx) -> dict[str, Any]:
        snapshot_id = snapshot_create.start(
            tx,
            request.caller,
            request.settings,
            asked["volume_id"] or "null",
            name=asked.get("name", asked.get("display_name")),
            description=asked.get("description", asked.get("display_description")),
            metadata=asked.get("metadata") or {},
            in_use=always or is_true(force),
        )
        return views.snapshot(request, snapshots.get(tx, snapshot_id, None), changed=True)

    return {"snapshot": await request.create(accept)}


@SERVICE.route("GET", "/snapshots/{snapshot_id}", who="reader", answer=shapes.one("snapshot", shapes.SNAPSHOT))
async def show(request: Request) -> dict[str, Any]:
    row = await request.db.read(lambda tx: snapshots.get(tx, request.ids["snapshot_id"], request.caller.scope))
    return {"snapshot": views.snapshot(request, row)}


_QUERY = filters.parameters(snapshot_filters.FILTERS, snapshot_filters.sortable(VERSIONS.most), counted=True)
_BRIEF = shapes.page("snapshots", shapes.SNAPSHOT_BRIEF, links="snapshots_links", counted=True)
_DETAIL = shapes.page("snapshots", shapes.SNAPSHOT, links="snapshots_links", counted=True)


@SERVICE.route("GET", "/snapshots", who="reader", answer=_BRIEF, query=_QUERY)
async def brief(request: Request) -> dict[str, Any]:
    return await _list(request, detail=False)


@SERVICE.route("GET", "/snapshots/detail", who="reader", answer=_DETAIL, query=_QUERY)
async def detail(request: Request) -> dict[str, Any]:
    return await _list(request, detail=True)


async def _list(request: Request, *, detail: bool) -> dict[str, Any]:
    found = snapshot_filters.found(request)
    wanted = lists.page(request, snapshot_filters.sortable(request.version))
    with_count = request.version >= since.LIST_COUNT and request.flag("with_count")

    def read(tx: Tx) -> dict[str, Any]:
        rows, _ = snapshots.page(tx, found, wanted, filters.scope(request))
        shown = [views.snapshot(request, row) if detail else views.snapshot_brief(row) for row in rows]
        answer: dict[str, Any] = {"snapshots": shown}
        if rows and len(rows) == wanted.limit:  # as Cinder does, also when nothing comes after it
            answer["snapshots_links"] = lists.next_link(request, rows[-1].id)
        if with_count:
            answer["count"] = snapshots.count(tx, found)
        return answer

    return await request.db.read(read)


_UPDATE = body(
    "snapshot",
    {
        "name": NAME_OR_NULL,
        "description": TEXT_OR_NULL,
        "display_name": NAME_OR_NULL,
        "display_description": TEXT_OR_NULL,
    },
)


@SERVICE.route("PUT", "/snapshots/{snapshot_id}", who="member", body=_UPDATE, answer=_CHANGED)
async def update(request: Request) -> dict[str, Any]:
    asked = request.body["snapshot"]
    values = {name: asked[name] for name in ("name", "description") if name in asked}
    for old, new in (("display_name", "name"), ("display_description", "description")):
        if old in asked and new not in values:
            values[new] = asked[old]
    if not values:
        raise Invalid("update-empty", "Name a field to change: name or description.")

    def change(tx: Tx) -> dict[str, Any]:
        row = snapshots.get(tx, request.ids["snapshot_id"], request.caller.scope)
        snapshots.change(tx, row.id, **values)
        return views.snapshot(request, snapshots.get(tx, row.id, None), changed=True)

    return {"snapshot": await request.db.write(change)}


@SERVICE.route("DELETE", "/snapshots/{snapshot_id}", who="member", status=202)
async def delete(request: Request) -> None:
    await request.db.write(lambda tx: snapshot_delete.start(tx, request.caller, request.ids["snapshot_id"]))
