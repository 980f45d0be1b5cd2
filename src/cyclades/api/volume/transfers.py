"""/os-volume-transfer, and /volume-transfers since 3.55: the same under another name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, NAME_NOT_EMPTY, UUID, Schema, body, is_true, shape
from cyclades.api.http.times import micros
from cyclades.api.http.versions import Version
from cyclades.api.volume import filters, shapes, since, views
from cyclades.api.volume.filters import Filter
from cyclades.api.volume.service import SERVICE
from cyclades.operations import volume_transfer
from cyclades.store import transfers
from cyclades.store.database import Tx
from cyclades.store.schema import transfer

_SORTABLE = ("id", "name", "created_at", "updated_at", "volume_id")
# Cinder tells of none of them in `/resource_filters`.
_FILTERS = {name: Filter(filters.equal(transfer.c[name])) for name in ("id", "name", "volume_id")}


def _create(version: Version) -> Schema:
    asked: Schema = {"volume_id": UUID, "name": {"anyOf": [NAME_NOT_EMPTY, {"type": "null"}]}}
    if version >= since.TRANSFERS_WITH_SNAPSHOTS:
        asked["no_snapshots"] = BOOLEAN
    return body("transfer", asked, required=("volume_id",))


_ACCEPT: Schema = {
    **body("accept", {"auth_key": {"type": ["string", "integer"], "maxLength": 255}}, required=("auth_key",)),
    "writeOnly": True,
}


def _brief(request: Request, row: Row[Any], path: str) -> dict[str, Any]:
    links = views.links(request, f"{path}/{row.id}")
    return {"id": row.id, "volume_id": row.volume_id, "name": row.name, "links": links}


def _detail(request: Request, row: Row[Any], path: str) -> dict[str, Any]:
    view = {**_brief(request, row, path), "created_at": micros(row.created_at)}
    if request.version >= since.TRANSFERS_WITH_SNAPSHOTS:
        view["no_snapshots"] = row.no_snapshots
    if request.version >= since.TRANSFER_HISTORY:
        view["source_project_id"] = row.project_id
        view["destination_project_id"] = row.destination_project_id
        view["accepted"] = row.accepted
    return view


_BRIEF: Schema = {"id": UUID, "volume_id": UUID, "name": shapes.TEXT_OR_NULL, "links": shapes.LINKS}
_DETAIL: Schema = {
    **_BRIEF,
    "created_at": shapes.TIME,
    "no_snapshots": shapes.TRUTH,
    "source_project_id": shapes.OWNER,
    "destination_project_id": {**shapes.OWNER, "type": ["string", "null"]},
    "accepted": shapes.TRUTH,
}
_MADE = shapes.one("transfer", shape(_DETAIL | {"auth_key": shapes.TEXT}))
_ONE, _ACCEPTED = shapes.one("transfer", shape(_DETAIL)), shapes.one("transfer", shape(_BRIEF))
_MANY, _MANY_DETAILED = (shapes.page("transfers", shape(one), links="transfers_links") for one in (_BRIEF, _DETAIL))
_QUERY = filters.parameters(_FILTERS, _SORTABLE)


def _routes(path: str, first: Version) -> None:
    bounds = str(first)
    one = f"{path}/{{transfer_id}}"

    @SERVICE.route("POST", path, who="member", status=202, since=bounds, body=_create, answer=_MADE)
    async def create(request: Request) -> dict[str, Any]:
        asked = request.body["transfer"]
        name = asked.get("name")

        def offer(tx: Tx) -> dict[str, Any]:
            made = volume_transfer.create(
                tx,
                request.caller,
                asked["volume_id"].lower(),
                name=name.strip() if name else None,
                no_snapshots=is_true(asked.get("no_snapshots", False)),
            )
            return {**_detail(request, transfers.get(tx, made.transfer_id, None), path), "auth_key": made.key}

        return {"transfer": await request.create(offer)}

    @SERVICE.route("GET", path, who="reader", since=bounds, answer=_MANY, query=_QUERY)
    async def brief(request: Request) -> dict[str, Any]:
        return await every(request, detail=False)

    @SERVICE.route("GET", f"{path}/detail", who="reader", since=bounds, answer=_MANY_DETAILED, query=_QUERY)
    async def detail(request: Request) -> dict[str, Any]:
        return await every(request, detail=True)

    async def every(request: Request, *, detail: bool) -> dict[str, Any]:
        paged = request.version >= since.TRANSFER_PAGES
        wanted = lists.page(request, _SORTABLE) if paged else lists.plain(request)
        scope = filters.scope(request)
        found = filters.narrowed(request, transfers.query(scope), _FILTERS)
        rows, more = await request.db.read(lambda tx: transfers.page(tx, found, wanted, scope))
        view = _detail if detail else _brief
        answer: dict[str, Any] = {"transfers": [view(request, row, path) for row in rows]}
        if paged and rows and more:
            answer["transfers_links"] = lists.next_link(request, rows[-1].id)
        return answer

    @SERVICE.route("GET", one, who="reader", since=bounds, answer=_ONE)
    async def show(request: Request) -> dict[str, Any]:
        row = await request.db.read(lambda tx: transfers.get(tx, request.ids["transfer_id"], request.caller.scope))
        return {"transfer": _detail(request, row, path)}

    @SERVICE.route("POST", f"{one}/accept", who="member", status=202, since=bounds, body=_ACCEPT, answer=_ACCEPTED)
    async def accept(request: Request) -> dict[str, Any]:
        key = str(request.body["accept"]["auth_key"])

        def take(tx: Tx) -> dict[str, Any]:
            row = volume_transfer.accept(tx, request.caller, request.settings, request.ids["transfer_id"], key)
            return _brief(request, row, path)

        return {"transfer": await request.create(take)}

    @SERVICE.route("DELETE", one, who="member", status=202, since=bounds)
    async def take_back(request: Request) -> None:
        await request.db.write(lambda tx: volume_transfer.take_back(tx, request.caller, request.ids["transfer_id"]))


_routes("/os-volume-transfer", since.BASE)
_routes("/volume-transfers", since.TRANSFERS_WITH_SNAPSHOTS)
