"""/v2/images"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.image import filters, patch, shapes, views
from cyclades.api.image.attributes import CREATE, WRITABLE, column_of, refuse_fixed
from cyclades.api.image.service import SERVICE
from cyclades.model.errors import Invalid
from cyclades.operations import image_create, image_delete, image_update
from cyclades.operations.image_create import Wanted
from cyclades.store import images
from cyclades.store.database import Tx

# The snapshots that an image was made of, and that its deletion leaves.
_STAYING_HEADER = "X-Cyclades-Snapshots-Staying"


@SERVICE.route("POST", "/v2/images", who="member", status=201, body=CREATE, answer=shapes.IMAGE)
async def create(request: Request) -> dict[str, Any]:
    wanted = _wanted(request.body)

    def accept(tx: Tx) -> dict[str, Any]:
        image_id = image_create.start(tx, request.caller, request.settings, wanted)
        return views.image(images.get(tx, request.caller, image_id))

    view = await request.create(accept)
    request.answer_headers["Location"] = f"{request.base_url}{view['self']}"
    return view


def _wanted(body: dict[str, Any]) -> Wanted:
    refuse_fixed(body)
    columns = {column_of(name) or name: value for name, value in body.items() if name in WRITABLE or name == "id"}
    properties = {name: value for name, value in body.items() if name not in WRITABLE and name != "id"}
    if "id" in columns:
        columns["id"] = columns["id"].lower()
    return Wanted(**columns, properties=properties)


@SERVICE.route("GET", "/v2/images", who="reader", answer=shapes.IMAGES, query=filters.PARAMETERS)
async def index(request: Request) -> dict[str, Any]:
    if "sort" in request.query and ("sort_key" in request.query or "sort_dir" in request.query):
        raise Invalid("sort-both", "Old and new sorting syntax cannot be combined: use sort, or sort_key and sort_dir.")
    wanted = lists.page(request, filters.SORTABLE)

    def read(tx: Tx) -> dict[str, Any]:
        rows, more = images.page(tx, filters.filtered(tx, request), wanted)
        answer = {
            "images": [views.image(row) for row in rows],
            "first": _link(request),
            "schema": "/v2/schemas/images",
        }
        if more and rows:
            answer["next"] = _link(request, marker=rows[-1].id)
        return answer

    return await request.db.read(read)


def _link(request: Request, **more: str) -> str:
    """To this list: a path below the service, as Glance gives it."""
    query = {name: values for name, values in request.query.items() if name not in ("marker", "offset")}
    text = urlencode({**query, **more}, doseq=True)
    return f"/v2/images?{text}" if text else "/v2/images"


@SERVICE.route("GET", "/v2/images/{image_id}", who="reader", answer=shapes.IMAGE)
async def show(request: Request) -> dict[str, Any]:
    return views.image(await request.db.read(lambda tx: images.get(tx, request.caller, request.ids["image_id"])))


@SERVICE.route("GET", "/v2/images/{image_id}/tasks", who="reader", answer=shapes.TASKS)
async def tasks(request: Request) -> dict[str, Any]:
    """Glance's tasks are how images are imported, which they are not here."""
    await request.db.read(lambda tx: images.get(tx, request.caller, request.ids["image_id"]))
    return {"tasks": []}


@SERVICE.route("PATCH", "/v2/images/{image_id}", who="member", body=patch.BODY, media=patch.MEDIA, answer=shapes.IMAGE)
async def update(request: Request) -> dict[str, Any]:
    changes = patch.changes(request.headers.get("content-type", ""), request.body)
    image_id = request.ids["image_id"]

    def change(tx: Tx) -> dict[str, Any]:
        image_update.start(tx, request.caller, request.settings, image_id, changes)
        return views.image(images.hold_even_deleted(tx, image_id))

    return await request.db.write(change)


@SERVICE.route("DELETE", "/v2/images/{image_id}", who="member", status=204)
async def delete(request: Request) -> None:
    staying = await request.db.write(lambda tx: image_delete.start(tx, request.caller, request.ids["image_id"]))
    if staying:
        request.answer_headers[_STAYING_HEADER] = ", ".join(staying)


@SERVICE.route("PUT", "/v2/images/{image_id}/tags/{tag}", who="member", status=204)
async def add_tag(request: Request) -> None:
    ids = request.ids
    await request.db.write(lambda tx: image_update.add_tag(tx, request.caller, ids["image_id"], ids["tag"]))


@SERVICE.route("DELETE", "/v2/images/{image_id}/tags/{tag}", who="member", status=204)
async def remove_tag(request: Request) -> None:
    ids = request.ids
    await request.db.write(lambda tx: image_update.remove_tag(tx, request.caller, ids["image_id"], ids["tag"]))
