"""/types: what users choose from, and what admins make of it."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, NAME_NOT_EMPTY, NAME_OR_NULL, TEXT_OR_NULL, Schema, body, is_true
from cyclades.api.http.service import Answer
from cyclades.api.volume import views
from cyclades.api.volume.service import SERVICE
from cyclades.model import capabilities
from cyclades.model.errors import Invalid, NotFound
from cyclades.operations.base import new_id
from cyclades.store import volume_types
from cyclades.store.database import Tx

_SPECS: Schema = {
    "type": "object",
    "propertyNames": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9_.:\\- ]+$"},
    "additionalProperties": {"type": "string", "maxLength": 255},
    "maxProperties": 128,
}


def _check(request: Request, specs: dict[str, str]) -> None:
    """A type that no pool or backend could serve is refused when it is made, not when it is used."""
    capabilities.kind_of(specs, {pool.name: pool.engine for pool in request.settings.pools})


@SERVICE.route("GET", "/types", who="reader")
async def every(request: Request) -> dict[str, Any]:
    admin = request.caller.is_admin
    wanted = (request.one("is_public") or "").lower()
    rows = await request.db.read(lambda tx: volume_types.every(tx, all_types=admin))
    if admin and wanted in ("true", "false", "1", "0"):
        rows = [row for row in rows if row.is_public == is_true(wanted)]
    return {"volume_types": [views.volume_type(request, row) for row in rows]}


@SERVICE.route("GET", "/types/default", who="reader")
async def default(request: Request) -> dict[str, Any]:
    return {"volume_type": views.volume_type(request, await request.db.read(volume_types.default))}


@SERVICE.route("GET", "/types/{type_id}", who="reader")
async def show(request: Request) -> dict[str, Any]:
    return {"volume_type": views.volume_type(request, await request.db.read(lambda tx: _get(tx, request)))}


def _get(tx: Tx, request: Request) -> Any:
    return volume_types.get(tx, request.ids["type_id"], all_types=request.caller.is_admin)


_CREATE = body(
    "volume_type",
    {
        "name": NAME_NOT_EMPTY,
        "description": TEXT_OR_NULL,
        "extra_specs": {"anyOf": [_SPECS, {"type": "null"}]},
        "os-volume-type-access:is_public": BOOLEAN,
    },
    required=("name",),
)


@SERVICE.route("POST", "/types", who="admin", body=_CREATE)
async def create(request: Request) -> dict[str, Any]:
    asked = request.body["volume_type"]
    specs = asked.get("extra_specs") or {}
    _check(request, specs)
    type_id = new_id()

    def add(tx: Tx) -> dict[str, Any]:
        volume_types.add(
            tx,
            type_id,
            name=asked["name"].strip(),
            description=asked.get("description"),
            is_public=is_true(asked.get("os-volume-type-access:is_public", True)),
            extra_specs=specs,
        )
        return views.volume_type(request, volume_types.get(tx, type_id, all_types=True))

    return {"volume_type": await request.create(add)}


_UPDATE = body("volume_type", {"name": NAME_OR_NULL, "description": TEXT_OR_NULL, "is_public": BOOLEAN})


@SERVICE.route("PUT", "/types/{type_id}", who="admin", body=_UPDATE)
async def update(request: Request) -> dict[str, Any]:
    values = {name: value for name, value in request.body["volume_type"].items() if value is not None}
    if "is_public" in values:
        values["is_public"] = is_true(values["is_public"])
    if not values or ("name" in values and not values["name"].strip()):
        raise Invalid("type-update", "Name a field to change: name (not empty), description or is_public.")

    def change(tx: Tx) -> Any:
        row = _get(tx, request)
        volume_types.change(tx, row.id, **values)
        return volume_types.get(tx, row.id, all_types=True)

    return {"volume_type": views.volume_type(request, await request.db.write(change))}


@SERVICE.route("DELETE", "/types/{type_id}", who="admin", status=202)
async def delete(request: Request) -> None:
    await request.db.write(lambda tx: volume_types.remove(tx, _get(tx, request).id))


@SERVICE.route("GET", "/types/{type_id}/extra_specs", who="reader")
async def show_specs(request: Request) -> dict[str, Any]:
    return {"extra_specs": (await request.db.read(lambda tx: _get(tx, request))).extra_specs}


_SET_SPECS: Schema = {
    "type": "object",
    "properties": {"extra_specs": _SPECS},
    "required": ["extra_specs"],
    "additionalProperties": False,
}


@SERVICE.route("POST", "/types/{type_id}/extra_specs", who="admin", body=_SET_SPECS)
async def set_specs(request: Request) -> dict[str, Any]:
    def change(tx: Tx) -> None:
        row = _get(tx, request)
        specs = {**row.extra_specs, **request.body["extra_specs"]}
        _check(request, specs)
        volume_types.change(tx, row.id, extra_specs=specs)

    await request.db.write(change)
    return {"extra_specs": request.body["extra_specs"]}


@SERVICE.route("GET", "/types/{type_id}/extra_specs/{key}", who="reader")
async def show_spec(request: Request) -> dict[str, str]:
    key = request.ids["key"]
    specs: dict[str, str] = (await request.db.read(lambda tx: _get(tx, request))).extra_specs
    if key not in specs:
        raise NotFound("extra-spec", key)
    return {key: specs[key]}


@SERVICE.route("PUT", "/types/{type_id}/extra_specs/{key}", who="admin", body={**_SPECS, "maxProperties": 1})
async def set_spec(request: Request) -> dict[str, str]:
    key = request.ids["key"]
    asked: dict[str, str] = request.body
    if list(asked) != [key]:
        raise Invalid("extra-spec", "The key in the body is not the one in the URL.", field=key)

    def change(tx: Tx) -> None:
        row = _get(tx, request)
        specs = {**row.extra_specs, **asked}
        _check(request, specs)
        volume_types.change(tx, row.id, extra_specs=specs)

    await request.db.write(change)
    return asked


@SERVICE.route("DELETE", "/types/{type_id}/extra_specs/{key}", who="admin", status=202)
async def delete_spec(request: Request) -> Answer:
    key = request.ids["key"]

    def change(tx: Tx) -> None:
        row = _get(tx, request)
        if key not in row.extra_specs:
            raise NotFound("extra-spec", key)
        specs = {name: value for name, value in row.extra_specs.items() if name != key}
        _check(request, specs)
        volume_types.change(tx, row.id, extra_specs=specs)

    await request.db.write(change)
    return Answer(202)
