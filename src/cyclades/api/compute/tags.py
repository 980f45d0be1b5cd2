"""/servers/{id}/tags"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.compute import since
from cyclades.api.compute.schemas import MOST_TAGS, TAG, TAGS, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.bodies import validate
from cyclades.api.http.request import Request
from cyclades.api.http.service import Answer
from cyclades.model.errors import Invalid, NotFound
from cyclades.store import servers
from cyclades.store.database import Tx

_PATH, _ONE = "/servers/{server_id}/tags", "/servers/{server_id}/tags/{tag}"
_SINCE = str(since.SERVER_TAGS)


async def _read(request: Request) -> list[str]:
    row = await request.db.read(lambda tx: servers.get(tx, request.ids["server_id"], request.caller.scope))
    tags: list[str] = row.tags
    return tags


def _hold(tx: Tx, request: Request) -> Row[Any]:
    return servers.hold(tx, request.ids["server_id"], request.caller.scope)


@SERVICE.route("GET", _PATH, who="reader", since=_SINCE)
async def every(request: Request) -> dict[str, Any]:
    return {"tags": await _read(request)}


@SERVICE.route("PUT", _PATH, who="member", since=_SINCE, body=closed({"tags": TAGS}, "tags"))
async def replace(request: Request) -> dict[str, Any]:
    tags = sorted(set(request.body["tags"]))
    await request.db.write(lambda tx: servers.change(tx, _hold(tx, request).id, tags=tags))
    return {"tags": tags}


@SERVICE.route("DELETE", _PATH, who="member", status=204, since=_SINCE)
async def clear(request: Request) -> None:
    await request.db.write(lambda tx: servers.change(tx, _hold(tx, request).id, tags=[]))


@SERVICE.route("GET", _ONE, who="reader", status=204, since=_SINCE)
async def has(request: Request) -> None:
    if request.ids["tag"] not in await _read(request):
        raise _missing(request)


@SERVICE.route("PUT", _ONE, who="member", status=201, since=_SINCE, also=(204,))
async def add(request: Request) -> Answer:
    tag = request.ids["tag"]
    validate(TAG, request.version, tag)

    def change(tx: Tx) -> bool:
        row = _hold(tx, request)
        if tag in row.tags:
            return False
        if len(row.tags) >= MOST_TAGS:
            raise Invalid("tags", f"The number of tags exceeded the per-server limit {MOST_TAGS}.", field="tag")
        servers.change(tx, row.id, tags=sorted([*row.tags, tag]))
        return True

    if not await request.db.write(change):
        return Answer(204)
    return Answer(201, headers={"Location": f"{request.base_url}{request.path}"})


@SERVICE.route("DELETE", _ONE, who="member", status=204, since=_SINCE)
async def remove(request: Request) -> None:
    def change(tx: Tx) -> None:
        row = _hold(tx, request)
        if request.ids["tag"] not in row.tags:
            raise _missing(request)
        servers.change(tx, row.id, tags=[tag for tag in row.tags if tag != request.ids["tag"]])

    await request.db.write(change)


def _missing(request: Request) -> NotFound:
    return NotFound("server-tag", request.ids["tag"])
