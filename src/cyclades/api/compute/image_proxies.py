"""/images: the Image API's images, as old clients of Nova read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.api.compute import since, views
from cyclades.api.compute.schemas import METADATA, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.times import seconds
from cyclades.model.errors import Invalid, NotFound
from cyclades.operations import image_delete, image_update
from cyclades.operations.image_update import Change
from cyclades.store import images
from cyclades.store.database import Tx
from cyclades.store.schema import image

_UNTIL = since.before(since.NETWORK_PROXIES_GONE)
_METADATA_UNTIL = since.before(since.IMAGE_PROXIES_GONE)
_STATUS = {"active": "ACTIVE", "queued": "SAVING", "saving": "SAVING", "deleted": "DELETED", "killed": "ERROR"}
_PROGRESS = {"ACTIVE": 100, "SAVING": 50}
# A property that says of which server an image was made, and one that says so of the image's kind.
_SERVER, _TYPE = "instance_uuid", "image_type"


def _brief(request: Request, row: Row[Any]) -> dict[str, Any]:
    elsewhere = f"{request.settings.public_url}/image/v2/images/{row.id}"
    alternate = {"rel": "alternate", "type": "application/vnd.openstack.image", "href": elsewhere}
    return {"id": row.id, "name": row.name, "links": [*views.links(request, "images", row.id), alternate]}


def _view(request: Request, row: Row[Any]) -> dict[str, Any]:
    status = _STATUS.get(row.status, "UNKNOWN")
    view = {
        **_brief(request, row),
        "status": status,
        "progress": _PROGRESS.get(status, 0),
        "created": seconds(row.created_at),
        "updated": seconds(row.updated_at or row.created_at),
        "minDisk": row.min_disk,
        "minRam": row.min_ram,
        "metadata": row.properties,
        "OS-EXT-IMG-SIZE:size": row.size,
    }
    if (server_id := row.properties.get(_SERVER)) is not None:
        view["server"] = {"id": server_id, "links": views.links(request, "servers", server_id)}
    return view


@SERVICE.route("GET", "/images", who="reader", until=_UNTIL)
async def brief(request: Request) -> dict[str, Any]:
    return await _list(request, _brief)


@SERVICE.route("GET", "/images/detail", who="reader", until=_UNTIL)
async def detail(request: Request) -> dict[str, Any]:
    return await _list(request, _view)


async def _list(request: Request, view: Callable[[Request, Row[Any]], dict[str, Any]]) -> dict[str, Any]:
    wanted = lists.page(request, ("created_at", "id", "name"))

    def read(tx: Tx) -> dict[str, Any]:
        rows, more = images.page(tx, _filtered(tx, request), wanted)
        answer: dict[str, Any] = {"images": [view(request, row) for row in rows]}
        if more and rows:
            answer["images_links"] = lists.next_link(request, rows[-1].id)
        return answer

    return await request.db.read(read)


def _filtered(tx: Tx, request: Request) -> sa.Select[Any]:
    found = images.query(request.caller, None)
    if (name := request.one("name")) is not None:
        found = found.where(image.c.name == name)
    if (status := request.one("status")) is not None:
        found = found.where(image.c.status.in_([ours for ours, theirs in _STATUS.items() if theirs == status.upper()]))
    if (moment := request.time("changes-since")) is not None:
        found = found.where(sa.func.coalesce(image.c.updated_at, image.c.created_at) >= moment)
    if (server := request.one("server")) is not None:
        found = found.where(images.has_property(tx, _SERVER, server.rpartition("/")[2]))
    if (kind := request.one("type")) is not None:
        found = found.where(images.has_property(tx, _TYPE, kind))
    for theirs, column in (("minDisk", image.c.min_disk), ("minRam", image.c.min_ram)):
        if (least := request.whole(theirs)) is not None:
            found = found.where(column >= least)
    return found


@SERVICE.route("GET", "/images/{image_id}", who="reader", until=_UNTIL)
async def show(request: Request) -> dict[str, Any]:
    return {"image": _view(request, await _read(request))}


async def _read(request: Request) -> Row[Any]:
    return await request.db.read(lambda tx: images.get(tx, request.caller, request.ids["image_id"]))


@SERVICE.route("DELETE", "/images/{image_id}", who="member", status=204, until=_UNTIL)
async def delete(request: Request) -> None:
    await request.db.write(lambda tx: image_delete.start(tx, request.caller, request.ids["image_id"]))


# --- metadata -------------------------------------------------------------------------------------

_ALL, _ONE = "/images/{image_id}/metadata", "/images/{image_id}/metadata/{key}"
_ALL_BODY = closed({"metadata": METADATA}, "metadata")
_ONE_BODY = closed({"meta": {**METADATA, "minProperties": 1, "maxProperties": 1}}, "meta")


async def _change(request: Request, how: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
    """The properties after `how` had changed them."""
    caller, image_id = request.caller, request.ids["image_id"]

    def write(tx: Tx) -> dict[str, str]:
        old = dict(images.hold(tx, caller, image_id).properties)
        new = how(old)
        changes = [Change("add", name, None, value) for name, value in new.items()]
        changes += [Change("remove", name, None) for name in old if name not in new]
        image_update.start(tx, caller, request.settings, image_id, changes)
        return new

    return await request.db.write(write)


@SERVICE.route("GET", _ALL, who="reader", until=_METADATA_UNTIL)
async def metadata(request: Request) -> dict[str, Any]:
    return {"metadata": (await _read(request)).properties}


@SERVICE.route("POST", _ALL, who="member", until=_METADATA_UNTIL, body=_ALL_BODY)
async def merge(request: Request) -> dict[str, Any]:
    return {"metadata": await _change(request, lambda old: old | request.body["metadata"])}


@SERVICE.route("PUT", _ALL, who="member", until=_METADATA_UNTIL, body=_ALL_BODY)
async def replace(request: Request) -> dict[str, Any]:
    return {"metadata": await _change(request, lambda _: request.body["metadata"])}


@SERVICE.route("GET", _ONE, who="reader", until=_METADATA_UNTIL)
async def show_one(request: Request) -> dict[str, Any]:
    return {"meta": _only(request, (await _read(request)).properties)}


@SERVICE.route("PUT", _ONE, who="member", until=_METADATA_UNTIL, body=_ONE_BODY)
async def set_one(request: Request) -> dict[str, Any]:
    if request.ids["key"] not in request.body["meta"]:
        raise Invalid("metadata-key", "Request body and URI mismatch", field="meta")
    return {"meta": _only(request, await _change(request, lambda old: old | request.body["meta"]))}


@SERVICE.route("DELETE", _ONE, who="member", status=204, until=_METADATA_UNTIL)
async def delete_one(request: Request) -> None:
    def without(old: dict[str, str]) -> dict[str, str]:
        gone = _only(request, old)
        return {name: value for name, value in old.items() if name not in gone}

    await _change(request, without)


def _only(request: Request, properties: dict[str, str]) -> dict[str, str]:
    key = request.ids["key"]
    if key not in properties:
        raise NotFound("metadata-item", key)
    return {key: properties[key]}
