"""/servers/{id}/metadata: read, merged, replaced, and key by key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyclades.api.compute.schemas import METADATA, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.model.errors import Forbidden, Invalid, NotFound
from cyclades.store import servers
from cyclades.store.database import Tx

_PATH = "/servers/{server_id}/metadata"
_ALL = closed({"metadata": METADATA}, "metadata")
_ONE = closed({"meta": {**METADATA, "minProperties": 1, "maxProperties": 1}}, "meta")

Change = Callable[[dict[str, str]], dict[str, str]]


async def _change(request: Request, how: Change) -> dict[str, str]:
    def write(tx: Tx) -> dict[str, str]:
        row = servers.hold(tx, request.ids["server_id"], request.caller.scope)
        servers.require_unlocked(row, request.caller)
        metadata = how(dict(row.metadata))
        most = request.settings.limits.metadata_items
        if len(metadata) > most:
            raise Forbidden("metadata-items", f"At most {most} metadata items are kept.")
        servers.change(tx, row.id, metadata=metadata)
        return metadata

    return await request.db.write(write)


async def _read(request: Request) -> dict[str, str]:
    row = await request.db.read(lambda tx: servers.get(tx, request.ids["server_id"], request.caller.scope))
    metadata: dict[str, str] = row.metadata
    return metadata


@SERVICE.route("GET", _PATH, who="reader")
async def show_all(request: Request) -> dict[str, Any]:
    return {"metadata": await _read(request)}


@SERVICE.route("POST", _PATH, who="member", body=_ALL)
async def merge(request: Request) -> dict[str, Any]:
    return {"metadata": await _change(request, lambda old: old | request.body["metadata"])}


@SERVICE.route("PUT", _PATH, who="member", body=_ALL)
async def replace(request: Request) -> dict[str, Any]:
    return {"metadata": await _change(request, lambda _: request.body["metadata"])}


@SERVICE.route("GET", f"{_PATH}/{{key}}", who="reader")
async def show_one(request: Request) -> dict[str, Any]:
    key, metadata = request.ids["key"], await _read(request)
    if key not in metadata:
        raise NotFound("metadata-item", key)
    return {"meta": {key: metadata[key]}}


@SERVICE.route("PUT", f"{_PATH}/{{key}}", who="member", body=_ONE)
async def set_one(request: Request) -> dict[str, Any]:
    key, meta = request.ids["key"], request.body["meta"]
    if key not in meta:
        raise Invalid("metadata-key", "Request body and URI mismatch", field="meta")
    return {"meta": {key: (await _change(request, lambda old: old | meta))[key]}}


@SERVICE.route("DELETE", f"{_PATH}/{{key}}", who="member", status=204)
async def delete_one(request: Request) -> None:
    key = request.ids["key"]

    def without(old: dict[str, str]) -> dict[str, str]:
        if key not in old:
            raise NotFound("metadata-item", key)
        return {name: value for name, value in old.items() if name != key}

    await _change(request, without)
