"""/flavors"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cyclades.api.compute import since, views
from cyclades.api.compute.schemas import BOOLEAN_WORDS, DESCRIPTION, EXTRA_SPECS, NOT_NEGATIVE, POSITIVE, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, NAME_NOT_EMPTY, Schema, is_true
from cyclades.api.http.versions import Version
from cyclades.model.errors import Invalid, NotFound
from cyclades.operations.base import new_id
from cyclades.store import flavors
from cyclades.store.database import Tx
from cyclades.store.schema import flavor

_SORT_KEYS = {"flavorid": "id", "memory_mb": "ram", "root_gb": "disk"}
_SORTABLE = ("id", "name", "ram", "disk", "vcpus", "is_public", "created_at", "updated_at")


@SERVICE.route("GET", "/flavors", who="reader")
async def brief(request: Request) -> dict[str, Any]:
    return await _list(request, detail=False)


@SERVICE.route("GET", "/flavors/detail", who="reader")
async def detail(request: Request) -> dict[str, Any]:
    return await _list(request, detail=True)


async def _list(request: Request, *, detail: bool) -> dict[str, Any]:
    found = _filtered(request)
    keys = [_SORT_KEYS.get(key, key) for key in request.query.get("sort_key", [])]
    ways = request.query.get("sort_dir", ["asc"])
    request.query = {**request.query, "sort_key": keys or ["id"], "sort_dir": ways}
    wanted = lists.page(request, _SORTABLE)
    rows, more = await request.db.read(lambda tx: flavors.page(tx, found, wanted))
    view = views.flavor if detail else views.flavor_brief
    answer: dict[str, Any] = {"flavors": [view(request, row) for row in rows]}
    if more and rows:
        answer["flavors_links"] = lists.next_link(request, rows[-1].id)
    return answer


def _filtered(request: Request) -> sa.Select[Any]:
    """Admins choose by `is_public` (None: all); the others see those that are open to them."""
    found = flavors.query(request.caller.scope)
    wanted = (request.one("is_public") or "true").lower()
    if request.caller.is_admin and wanted != "none":
        if wanted not in BOOLEAN_WORDS:
            raise Invalid("filter", f"Invalid is_public filter [{wanted[:50]}]", field="is_public")
        found = found.where(flavor.c.is_public == is_true(wanted))
    for theirs, ours in (("minDisk", "disk"), ("minRam", "ram")):
        if (least := request.whole(theirs)) is not None:
            found = found.where(flavor.c[ours] >= least)
    return found


@SERVICE.route("GET", "/flavors/{flavor_id}", who="reader")
async def show(request: Request) -> dict[str, Any]:
    return {"flavor": views.flavor(request, await request.db.read(lambda tx: _get(tx, request)))}


def _get(tx: Tx, request: Request) -> Any:
    return flavors.get(tx, request.ids["flavor_id"], request.caller.scope)


def _create(version: Version) -> Schema:
    nothing: Schema = {"enum": [0, "0"]}  # every disk is a volume: none of these beside the root
    properties: Schema = {
        "name": NAME_NOT_EMPTY,
        "id": {"type": ["string", "integer", "null"], "maxLength": 255, "pattern": "^(?! )[a-zA-Z0-9. _-]*(?<! )$"},
        "ram": POSITIVE,
        "vcpus": POSITIVE,
        "disk": NOT_NEGATIVE,
        "OS-FLV-EXT-DATA:ephemeral": nothing,
        "swap": nothing,
        "rxtx_factor": {"enum": [1, 1.0, "1", "1.0"]},
        "os-flavor-access:is_public": BOOLEAN,
    }
    if version >= since.FLAVOR_DESCRIPTION:
        properties["description"] = DESCRIPTION
    return closed({"flavor": closed(properties, "name", "ram", "vcpus", "disk")}, "flavor")


@SERVICE.route("POST", "/flavors", who="admin", body=_create)
async def create(request: Request) -> dict[str, Any]:
    asked = request.body["flavor"]
    given = asked.get("id")
    flavor_id = new_id() if given in (None, "", "auto") else str(given)
    values = {
        "name": asked["name"].strip(),
        "ram": int(asked["ram"]),
        "vcpus": int(asked["vcpus"]),
        "disk": int(asked["disk"]),
        "is_public": is_true(asked.get("os-flavor-access:is_public", True)),
        "description": asked.get("description"),
        "extra_specs": {},
    }

    def add(tx: Tx) -> dict[str, Any]:
        flavors.add(tx, flavor_id, **values)
        return views.flavor(request, flavors.get(tx, flavor_id, None))

    return {"flavor": await request.create(add)}


@SERVICE.route(
    "PUT",
    "/flavors/{flavor_id}",
    who="admin",
    since="2.55",
    body=closed({"flavor": closed({"description": DESCRIPTION}, "description")}, "flavor"),
)
async def update(request: Request) -> dict[str, Any]:
    def change(tx: Tx) -> Any:
        row = _get(tx, request)
        flavors.change(tx, row.id, description=request.body["flavor"]["description"])
        return _get(tx, request)

    return {"flavor": views.flavor(request, await request.db.write(change))}


@SERVICE.route("DELETE", "/flavors/{flavor_id}", who="admin", status=202)
async def delete(request: Request) -> None:
    await request.db.write(lambda tx: flavors.remove(tx, _get(tx, request).id))


# --- extra specs ----------------------------------------------------------------------------------

_SPECS = "/flavors/{flavor_id}/os-extra_specs"


@SERVICE.route("GET", _SPECS, who="reader")
async def specs(request: Request) -> dict[str, Any]:
    return {"extra_specs": (await request.db.read(lambda tx: _get(tx, request))).extra_specs}


@SERVICE.route("POST", _SPECS, who="admin", body=closed({"extra_specs": EXTRA_SPECS}, "extra_specs"))
async def add_specs(request: Request) -> dict[str, Any]:
    given = {key: str(value) for key, value in request.body["extra_specs"].items()}
    await request.db.write(lambda tx: _put(tx, request, given))
    return {"extra_specs": given}


@SERVICE.route("GET", f"{_SPECS}/{{key}}", who="reader")
async def spec(request: Request) -> dict[str, Any]:
    kept, key = (await request.db.read(lambda tx: _get(tx, request))).extra_specs, request.ids["key"]
    if key not in kept:
        raise NotFound("extra-spec", key)
    return {key: kept[key]}


@SERVICE.route("PUT", f"{_SPECS}/{{key}}", who="admin", body={**EXTRA_SPECS, "minProperties": 1, "maxProperties": 1})
async def set_spec(request: Request) -> dict[str, Any]:
    key = request.ids["key"]
    if key not in request.body:
        raise Invalid("extra-spec-key", "The key in the body is not the one in the URL.")
    given = {key: str(request.body[key])}
    await request.db.write(lambda tx: _put(tx, request, given))
    return given


def _put(tx: Tx, request: Request, given: dict[str, str]) -> None:
    row = _get(tx, request)
    flavors.change(tx, row.id, extra_specs={**row.extra_specs, **given})


@SERVICE.route("DELETE", f"{_SPECS}/{{key}}", who="admin")
async def delete_spec(request: Request) -> None:
    key = request.ids["key"]

    def change(tx: Tx) -> None:
        row = _get(tx, request)
        if key not in row.extra_specs:
            raise NotFound("extra-spec", key)
        flavors.change(tx, row.id, extra_specs={k: v for k, v in row.extra_specs.items() if k != key})

    await request.db.write(change)
