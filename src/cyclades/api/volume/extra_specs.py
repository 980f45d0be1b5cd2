"""/types/{type_id}/extra_specs: how a type's volumes are kept. Users see those that are meant for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.api.volume import shapes, views
from cyclades.api.volume.service import SERVICE
from cyclades.api.volume.types import SPECS, get, kind_of
from cyclades.model.errors import Invalid, NotFound, WrongState
from cyclades.store import volume_types
from cyclades.store.database import Tx

_PATH = "/types/{type_id}/extra_specs"
_SET: Schema = {
    "type": "object",
    "properties": {"extra_specs": SPECS},
    "required": ["extra_specs"],
    "additionalProperties": False,
}

_ALL = shapes.one("extra_specs", shapes.TEXTS)

Specs = dict[str, str]


async def _read(request: Request) -> Specs:
    return views.visible_specs(request, (await request.db.read(lambda tx: get(tx, request))).extra_specs)


async def _change(request: Request, how: Callable[[Specs], Specs]) -> None:
    """Refused while volumes have the type: they would no longer be what it says."""

    def change(tx: Tx) -> None:
        row = get(tx, request)
        if volume_types.is_used(tx, row.id):
            raise WrongState("type-in-use", "Volume Type is currently in use.", resource="volume-type")
        specs = how(dict(row.extra_specs))
        kind_of(request, specs)
        volume_types.change(tx, row.id, extra_specs=specs)

    await request.db.write(change)


@SERVICE.route("GET", _PATH, who="reader", answer=_ALL)
async def show_all(request: Request) -> dict[str, Any]:
    return {"extra_specs": await _read(request)}


@SERVICE.route("POST", _PATH, who="admin", body=_SET, answer=_ALL)
async def merge(request: Request) -> dict[str, Any]:
    asked: Specs = request.body["extra_specs"]
    await _change(request, lambda old: old | asked)
    return {"extra_specs": asked}


@SERVICE.route("GET", f"{_PATH}/{{key}}", who="reader", answer=shapes.ITEM)
async def show_one(request: Request) -> Specs:
    key, specs = request.ids["key"], await _read(request)
    if key not in specs:
        raise NotFound("extra-spec", key)
    return {key: specs[key]}


_SET_ONE: Schema = {**SPECS, "minProperties": 1, "maxProperties": 1}


@SERVICE.route("PUT", f"{_PATH}/{{key}}", who="admin", body=_SET_ONE, answer=shapes.ITEM)
async def set_one(request: Request) -> Specs:
    key, asked = request.ids["key"], request.body
    if key not in asked:
        raise Invalid("extra-spec", "The key in the body is not the one in the URL.", field=key)
    await _change(request, lambda old: old | asked)
    found: Specs = asked
    return found


@SERVICE.route("DELETE", f"{_PATH}/{{key}}", who="admin", status=202)
async def delete_one(request: Request) -> None:
    key = request.ids["key"]

    def without(old: Specs) -> Specs:
        if key not in old:
            raise NotFound("extra-spec", key)
        return {name: value for name, value in old.items() if name != key}

    await _change(request, without)
