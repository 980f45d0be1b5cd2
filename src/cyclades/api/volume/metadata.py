"""The metadata of volumes and of snapshots: read, merged, replaced, and key by key.

Of volumes, what was read has an ETag; who sends it back in `If-Match` changes nothing if somebody else has since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec

from cyclades.api.http.errors import HttpRefusal
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import METADATA, Schema
from cyclades.api.volume import shapes, since
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid, NotFound
from cyclades.store import snapshots, volumes
from cyclades.store.database import Tx

_ALL: Schema = {
    "type": "object",
    "properties": {"metadata": METADATA},
    "required": ["metadata"],
    "additionalProperties": False,
}
_ONE: Schema = {
    "type": "object",
    "properties": {"meta": {**METADATA, "minProperties": 1, "maxProperties": 1}},
    "required": ["meta"],
    "additionalProperties": False,
}

Change = Callable[[dict[str, str]], dict[str, str]]


def _etag(metadata: dict[str, str]) -> str:
    return f'"{hashlib.sha256(msgspec.json.encode(metadata, order="sorted")).hexdigest()[:32]}"'


def _check_etag(request: Request, metadata: dict[str, str]) -> None:
    wanted = request.headers.get("if-match")
    if wanted is None or request.version < since.METADATA_ETAG:
        return
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")}
    if not tags & {"*", _etag(metadata).strip('"')}:
        raise HttpRefusal(412, "The metadata is not as it was when it was read: read it again.")


_SHOWN = shapes.one("metadata", shapes.TEXTS)
_SHOWN_ONE = shapes.one("meta", shapes.ITEM)


def _routes(path: str, id_name: str, store: ModuleType, *, etags: bool) -> None:
    """The same five routes for each resource that has metadata; `store` is its module of queries."""

    async def change(request: Request, how: Change, *, checked: bool = False) -> dict[str, str]:
        def write(tx: Tx) -> dict[str, str]:
            row = store.hold(tx, request.ids[id_name], request.caller.scope)
            if checked and etags:
                _check_etag(request, row.metadata)
            metadata = how(dict(row.metadata))
            most = request.settings.limits.metadata_items
            if len(metadata) > most:
                raise Invalid("metadata-items", f"At most {most} metadata items are kept.", field="metadata")
            store.change(tx, row.id, metadata=metadata)
            return metadata

        return await request.db.write(write)

    async def read(request: Request) -> dict[str, str]:
        row = await request.db.read(lambda tx: store.get(tx, request.ids[id_name], request.caller.scope))
        metadata: dict[str, str] = row.metadata
        return metadata

    # What a client may send that has read an ETag, and what it is told if that is no longer true.
    checks: dict[str, Any] = {"headers": {"If-Match": shapes.TEXT}, "also": (412,)} if etags else {}

    @SERVICE.route("GET", path, who="reader", answer=_SHOWN)
    async def show_all(request: Request) -> dict[str, Any]:
        metadata = await read(request)
        if etags and request.version >= since.METADATA_ETAG:
            request.answer_headers["ETag"] = _etag(metadata)
        return {"metadata": metadata}

    @SERVICE.route("POST", path, who="member", body=_ALL, answer=_SHOWN)
    async def merge(request: Request) -> dict[str, Any]:
        return {"metadata": await change(request, lambda old: old | request.body["metadata"])}

    @SERVICE.route("PUT", path, who="member", body=_ALL, answer=_SHOWN, **checks)
    async def replace(request: Request) -> dict[str, Any]:
        return {"metadata": await change(request, lambda _: request.body["metadata"], checked=True)}

    @SERVICE.route("GET", f"{path}/{{key}}", who="reader", answer=_SHOWN_ONE)
    async def show_one(request: Request) -> dict[str, Any]:
        key = request.ids["key"]
        metadata = await read(request)
        if key not in metadata:
            raise NotFound("metadata-item", key)
        return {"meta": {key: metadata[key]}}

    @SERVICE.route("PUT", f"{path}/{{key}}", who="member", body=_ONE, answer=_SHOWN_ONE, **checks)
    async def set_one(request: Request) -> dict[str, Any]:
        key, meta = request.ids["key"], request.body["meta"]
        if key not in meta:
            raise Invalid("metadata-key", "The key in the body is not the one in the URL.", field="meta")
        return {"meta": {key: (await change(request, lambda old: old | meta, checked=True))[key]}}

    @SERVICE.route("DELETE", f"{path}/{{key}}", who="member")
    async def delete_one(request: Request) -> None:
        key = request.ids["key"]

        def without(old: dict[str, str]) -> dict[str, str]:
            if key not in old:
                raise NotFound("metadata-item", key)
            return {name: value for name, value in old.items() if name != key}

        await change(request, without)


_routes("/volumes/{volume_id}/metadata", "volume_id", volumes, etags=True)
_routes("/snapshots/{snapshot_id}/metadata", "snapshot_id", snapshots, etags=False)
