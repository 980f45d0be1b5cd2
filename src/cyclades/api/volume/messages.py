"""/messages: what went wrong, and why."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import UUID, shape
from cyclades.api.http.times import micros
from cyclades.api.volume import filters, shapes, since, views
from cyclades.api.volume.filters import Filter
from cyclades.api.volume.service import SERVICE
from cyclades.store import messages
from cyclades.store.schema import message

_SINCE = str(since.MESSAGES)
_PATH = "/messages"
# There is one level: nothing is told but what failed.
_LEVEL = "ERROR"
# Cinder's words for kinds of resources.
_TYPES = {"volume": "VOLUME", "snapshot": "VOLUME_SNAPSHOT", "image": "IMAGE", "server": "SERVER"}
_KINDS = {wire: kind for kind, wire in _TYPES.items()}
_SORTABLE = {
    "id": "id",
    "created_at": "created_at",
    "guaranteed_until": "expires_at",
    "request_id": "request_id",
    "event_id": "operation",
    "resource_type": "resource_kind",
    "resource_uuid": "resource_id",
}


def _event_id(operation: str) -> str:
    """In Cinder's form: VOLUME, resource, action, detail."""
    return f"VOLUME_{operation.upper()}_001"


def _of_event(_: Request, text: str) -> sa.ColumnElement[bool]:
    operation = text.removeprefix("VOLUME_").removesuffix("_001").lower()
    return message.c.operation == operation if _event_id(operation) == text else sa.false()


def _of_level(_: Request, text: str) -> sa.ColumnElement[bool]:
    return sa.true() if text == _LEVEL else sa.false()


def _of_type(_: Request, text: str) -> sa.ColumnElement[bool]:
    return message.c.resource_kind == _KINDS[text] if text in _KINDS else sa.false()


_FILTERS = filters.table(
    "message",
    {
        "resource_uuid": Filter(filters.equal(message.c.resource_id), since.MESSAGE_PAGES),
        "resource_type": Filter(_of_type, since.MESSAGE_PAGES),
        "event_id": Filter(_of_event, since.MESSAGE_PAGES),
        "request_id": Filter(filters.equal(message.c.request_id), since.MESSAGE_PAGES),
        "message_level": Filter(_of_level, since.MESSAGE_PAGES),
    },
)


def _view(request: Request, row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "event_id": _event_id(row.operation),
        "message_level": _LEVEL,
        "user_message": f"{row.operation.replace('_', ' ')}: {row.text}",
        "request_id": row.request_id,
        "resource_type": _TYPES[row.resource_kind],
        "resource_uuid": row.resource_id,
        "created_at": micros(row.created_at),
        "guaranteed_until": micros(row.expires_at),
        "links": views.links(request, f"{_PATH}/{row.id}"),
    }


_SHOWN = shape(
    {
        "id": UUID,
        "event_id": {"type": "string", "pattern": "^VOLUME_[A-Z_]+_001$"},
        "message_level": {"const": _LEVEL},
        "user_message": shapes.TEXT,
        "request_id": shapes.TEXT,
        "resource_type": {"enum": sorted(_KINDS)},
        "resource_uuid": UUID,
        "created_at": shapes.TIME,
        "guaranteed_until": shapes.TIME,
        "links": shapes.LINKS,
    }
)
_PAGE = shapes.page("messages", _SHOWN, links="messages_links")
_QUERY = filters.parameters(_FILTERS, _SORTABLE)


@SERVICE.route("GET", _PATH, who="reader", since=_SINCE, answer=_PAGE, query=_QUERY)
async def every(request: Request) -> dict[str, Any]:
    paged = request.version >= since.MESSAGE_PAGES
    wanted = lists.page(request, _SORTABLE) if paged else lists.plain(request)
    scope = filters.scope(request)
    found = filters.narrowed(request, messages.query(scope), _FILTERS)
    rows, more = await request.db.read(lambda tx: messages.page(tx, found, wanted, scope))
    answer: dict[str, Any] = {"messages": [_view(request, row) for row in rows]}
    if paged and rows and more:
        answer["messages_links"] = lists.next_link(request, rows[-1].id)
    return answer


@SERVICE.route("GET", f"{_PATH}/{{message_id}}", who="reader", since=_SINCE, answer=shapes.one("message", _SHOWN))
async def show(request: Request) -> dict[str, Any]:
    row = await request.db.read(lambda tx: messages.get(tx, request.ids["message_id"], request.caller.scope))
    return {"message": _view(request, row)}


@SERVICE.route("DELETE", f"{_PATH}/{{message_id}}", who="member", status=204, since=_SINCE)
async def remove(request: Request) -> None:
    await request.db.write(
        lambda tx: messages.remove(tx, messages.get(tx, request.ids["message_id"], request.caller.scope).id)
    )
