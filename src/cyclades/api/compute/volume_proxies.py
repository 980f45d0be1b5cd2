"""/os-volumes and /os-snapshots: the Block Storage API's volumes and snapshots, as old clients of Nova read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from cyclades.api.compute import since
from cyclades.api.compute.schemas import METADATA, POSITIVE, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, NAME_OR_NULL, TEXT_OR_NULL, UUID, UUID_OR_NULL, Schema, is_true
from cyclades.api.http.times import micros
from cyclades.operations import snapshot_create, snapshot_delete, volume_create, volume_delete
from cyclades.operations.new_volume import Wanted
from cyclades.store import snapshots, volume_types, volumes
from cyclades.store.database import Tx

_UNTIL = since.before(since.NETWORK_PROXIES_GONE)
_NAMED: Schema = {"display_name": NAME_OR_NULL, "display_description": TEXT_OR_NULL}


def _volume(row: Row[Any], type_name: str | None, attached: Sequence[Row[Any]]) -> dict[str, Any]:
    plugs = [
        {"id": row.id, "volumeId": row.id, "serverId": one.server_id or one.instance_id, "device": one.device or ""}
        for one in attached
        if one.status in ("attached", "detaching")
    ]
    return {
        "id": row.id,
        "status": row.status,
        "size": row.size,
        "availabilityZone": row.availability_zone,
        "createdAt": micros(row.created_at),
        "displayName": row.name,
        "displayDescription": row.description,
        "volumeType": type_name,
        "snapshotId": row.snapshot_id,
        "metadata": row.metadata,
        "attachments": plugs or [{}],
    }


def _snapshot(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "volumeId": row.volume_id,
        "status": row.status,
        "size": row.size,
        "createdAt": micros(row.created_at),
        "displayName": row.name,
        "displayDescription": row.description,
    }


def _shown(tx: Tx, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    names, attached = volume_types.names(tx), volumes.attachments_of(tx, [row.id for row in rows])
    return [_volume(row, names.get(row.volume_type_id), attached.get(row.id, ())) for row in rows]


# --- volumes --------------------------------------------------------------------------------------


@SERVICE.route("GET", "/os-volumes", who="reader", until=_UNTIL)
@SERVICE.route("GET", "/os-volumes/detail", who="reader", until=_UNTIL)
async def every_volume(request: Request) -> dict[str, Any]:
    project_id = request.caller.project_id

    def read(tx: Tx) -> list[dict[str, Any]]:
        return _shown(tx, volumes.page(tx, volumes.query(project_id), lists.plain(request), project_id).rows)

    return {"volumes": await request.db.read(read)}


@SERVICE.route("GET", "/os-volumes/{volume_id}", who="reader", until=_UNTIL)
async def show_volume(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        return _shown(tx, [volumes.get(tx, request.ids["volume_id"], request.caller.scope)])[0]

    return {"volume": await request.db.read(read)}


_NEW_VOLUME = closed(
    {
        "volume": closed(
            {
                **_NAMED,
                "size": POSITIVE,
                "volume_type": NAME_OR_NULL,
                "metadata": {"anyOf": [METADATA, {"type": "null"}]},
                "snapshot_id": UUID_OR_NULL,
                "availability_zone": NAME_OR_NULL,
            },
            "size",
        )
    },
    "volume",
)


@SERVICE.route("POST", "/os-volumes", who="member", until=_UNTIL, body=_NEW_VOLUME)
async def create_volume(request: Request) -> dict[str, Any]:
    asked = request.body["volume"]
    wanted = Wanted(
        size=int(asked["size"]),
        name=asked.get("display_name"),
        description=asked.get("display_description"),
        type=asked.get("volume_type") or None,
        source="snapshot" if asked.get("snapshot_id") else "blank",
        source_id=asked.get("snapshot_id"),
        metadata=asked.get("metadata") or {},
        availability_zone=asked.get("availability_zone") or None,
    )

    def accept(tx: Tx) -> dict[str, Any]:
        volume_id = volume_create.start(tx, request.caller, request.settings, wanted)
        return _shown(tx, [volumes.get(tx, volume_id, None)])[0]

    return {"volume": await request.create(accept)}


@SERVICE.route("DELETE", "/os-volumes/{volume_id}", who="member", status=202, until=_UNTIL)
async def delete_volume(request: Request) -> None:
    await request.db.write(lambda tx: volume_delete.start(tx, request.caller, request.ids["volume_id"]))


# --- snapshots ------------------------------------------------------------------------------------


@SERVICE.route("GET", "/os-snapshots", who="reader", until=_UNTIL)
@SERVICE.route("GET", "/os-snapshots/detail", who="reader", until=_UNTIL)
async def every_snapshot(request: Request) -> dict[str, Any]:
    project_id = request.caller.project_id
    found, wanted = snapshots.query(project_id), lists.plain(request)
    rows = (await request.db.read(lambda tx: snapshots.page(tx, found, wanted, project_id))).rows
    return {"snapshots": [_snapshot(row) for row in rows]}


@SERVICE.route("GET", "/os-snapshots/{snapshot_id}", who="reader", until=_UNTIL)
async def show_snapshot(request: Request) -> dict[str, Any]:
    snapshot_id, scope = request.ids["snapshot_id"], request.caller.scope
    return {"snapshot": _snapshot(await request.db.read(lambda tx: snapshots.get(tx, snapshot_id, scope)))}


_NEW_SNAPSHOT = closed({"snapshot": closed({**_NAMED, "volume_id": UUID, "force": BOOLEAN}, "volume_id")}, "snapshot")


@SERVICE.route("POST", "/os-snapshots", who="member", until=_UNTIL, body=_NEW_SNAPSHOT)
async def create_snapshot(request: Request) -> dict[str, Any]:
    asked = request.body["snapshot"]

    def accept(tx: Tx) -> dict[str, Any]:
        snapshot_id = snapshot_create.start(
            tx,
            request.caller,
            request.settings,
            asked["volume_id"].lower(),
            name=asked.get("display_name"),
            description=asked.get("display_description"),
            metadata={},
            in_use=is_true(asked.get("force", False)),
        )
        return _snapshot(snapshots.get(tx, snapshot_id, None))

    return {"snapshot": await request.create(accept)}


@SERVICE.route("DELETE", "/os-snapshots/{snapshot_id}", who="member", status=202, until=_UNTIL)
async def delete_snapshot(request: Request) -> None:
    await request.db.write(lambda tx: snapshot_delete.start(tx, request.caller, request.ids["snapshot_id"]))
