"""/types: what users choose from, and what admins make of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.api.http import lists
from cyclades.api.http.request import Request, boolean
from cyclades.api.http.schemas import BOOLEAN, NAME_NOT_EMPTY, NAME_OR_NULL, TEXT_OR_NULL, Schema, body, is_true
from cyclades.api.volume import filters, shapes, since, views
from cyclades.api.volume.filters import Filter
from cyclades.api.volume.service import SERVICE
from cyclades.model import capabilities
from cyclades.model.errors import Invalid
from cyclades.operations.base import new_id
from cyclades.store import volume_types
from cyclades.store.database import Tx
from cyclades.store.schema import volume_type

SPECS: Schema = {
    "type": "object",
    "propertyNames": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9_.:\\-]+$"},
    "additionalProperties": {"type": "string", "maxLength": 255},
    "maxProperties": 128,
}

_SORTABLE = ("id", "name", "description", "is_public", "created_at", "updated_at")


def kind_of(request: Request, specs: dict[str, str]) -> capabilities.Kind:
    """How such a type's disks are kept; refused where no pool or backend could."""
    return capabilities.kind_of(specs, request.settings.storage)


def get(tx: Tx, request: Request) -> Row[Any]:
    """The type in the path."""
    return volume_types.get(tx, request.ids["type_id"], request.caller.scope)


def _view(request: Request, row: Row[Any]) -> dict[str, Any]:
    view = views.volume_type(request, row)
    if request.caller.is_admin:
        view["qos_specs_id"] = None
    if request.caller.may_write:
        view["os-volume-type-access:is_public"] = row.is_public
    if request.wants_extras:
        kind = kind_of(request, row.extra_specs)
        provided = kind.disk_template == capabilities.EXT
        view |= {
            "deleted": False,
            "SNF:disk_template": f"{kind.disk_template}_{kind.provider}" if provided else kind.disk_template,
            "SNF:detachable": capabilities.of_pool(kind.pool, request.settings.storage).detachable,
        }
    return view


def _is_public(request: Request, text: str) -> sa.ColumnElement[bool]:
    """Admins may ask for private types (`false`) or for all (`None`); what others see is not for them to choose."""
    if not request.caller.is_admin or text.lower() == "none":
        return sa.true()
    if boolean("is_public", text):
        return volume_types.is_open_to(request.caller.project_id)
    return volume_type.c.is_public.is_(False)


def _extra_specs(request: Request, text: str) -> sa.ColumnElement[bool]:
    wanted = filters.mapping("extra_specs", text)
    visible = views.visible_specs(request, wanted)
    if visible != wanted:
        return sa.false()  # what one may not see one cannot ask about, either
    specs = volume_type.c.extra_specs
    conditions = [
        specs[key].as_string().contains(value, autoescape=True)
        if key == capabilities.ZONES_SPEC
        else filters.has_item(request, specs, key, value)
        for key, value in wanted.items()
    ]
    return sa.and_(sa.true(), *conditions)


_FILTERS = filters.table(
    "volume_type",
    {
        "is_public": Filter(_is_public),
        "extra_specs": Filter(_extra_specs, since.TYPE_EXTRA_SPECS_FILTER, value=filters.ITEMS),
        "name": Filter(filters.equal(volume_type.c.name), admins=True),
        "description": Filter(filters.equal(volume_type.c.description), admins=True),
    },
)


_PAGE = shapes.page("volume_types", shapes.TYPE, links="volume_type_links")
_QUERY = filters.parameters(_FILTERS, _SORTABLE, projects=False)


@SERVICE.route("GET", "/types", who="reader", answer=_PAGE, query=_QUERY)
async def every(request: Request) -> dict[str, Any]:
    everything = request.caller.is_admin and "is_public" in request.query
    wanted = lists.page(request, _SORTABLE)
    found = volume_types.query(None if everything else request.caller.project_id)
    found = filters.narrowed(request, found, _FILTERS, strict=since.TYPE_EXTRA_SPECS_FILTER)
    rows, more = await request.db.read(lambda tx: volume_types.page(tx, found, wanted))
    answer: dict[str, Any] = {"volume_types": [_view(request, row) for row in rows]}
    if more and rows:
        answer["volume_type_links"] = lists.next_link(request, rows[-1].id)
    return answer


_ONE = shapes.one("volume_type", shapes.TYPE)


@SERVICE.route("GET", "/types/default", who="reader", answer=_ONE)
async def default(request: Request) -> dict[str, Any]:
    row = await request.db.read(lambda tx: volume_types.default(tx, request.caller.project_id))
    return {"volume_type": _view(request, row)}


@SERVICE.route("GET", "/types/{type_id}", who="reader", answer=_ONE)
async def show(request: Request) -> dict[str, Any]:
    return {"volume_type": _view(request, await request.db.read(lambda tx: get(tx, request)))}


_CREATE = body(
    "volume_type",
    {
        "name": NAME_NOT_EMPTY,
        "description": TEXT_OR_NULL,
        "extra_specs": {"anyOf": [SPECS, {"type": "null"}]},
        "os-volume-type-access:is_public": BOOLEAN,
    },
    required=("name",),
)


@SERVICE.route("POST", "/types", who="admin", body=_CREATE, answer=shapes.one("volume_type", shapes.TYPE_MADE))
async def create(request: Request) -> dict[str, Any]:
    asked = request.body["volume_type"]
    specs = asked.get("extra_specs") or {}
    kind_of(request, specs)
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
        row = volume_types.get(tx, type_id, None)
        return {**views.volume_type(request, row), "os-volume-type-access:is_public": row.is_public}

    return {"volume_type": await request.create(add)}


_UPDATE = body(
    "volume_type",
    {
        "name": NAME_OR_NULL,
        "description": TEXT_OR_NULL,
        "is_public": {"anyOf": [BOOLEAN, {"type": "null"}]},
    },
)


_CHANGED = shapes.one("volume_type", shapes.TYPE_CHANGED)


@SERVICE.route("PUT", "/types/{type_id}", who="admin", body=_UPDATE, answer=_CHANGED)
async def update(request: Request) -> dict[str, Any]:
    values = {name: value for name, value in request.body["volume_type"].items() if value is not None}
    if not values:
        raise Invalid(
            "type-update", "Specify volume type name, description, is_public or a combination thereof.", field="name"
        )
    if "is_public" in values:
        values["is_public"] = is_true(values["is_public"])
    if "name" in values:
        values["name"] = values["name"].strip()
        if not values["name"]:
            raise Invalid("type-name", "Volume type name can not be empty.", field="name")

    def change(tx: Tx) -> Row[Any]:
        row = get(tx, request)
        volume_types.change(tx, row.id, **values)
        return volume_types.get(tx, row.id, None)

    return {"volume_type": views.volume_type(request, await request.db.write(change))}


@SERVICE.route("DELETE", "/types/{type_id}", who="admin", status=202)
async def delete(request: Request) -> None:
    await request.db.write(lambda tx: volume_types.remove(tx, get(tx, request).id))
