"""GET /events/v1: server-sent events (WHATWG HTML, "Server-sent events") of one's project, in the order of commits.

The first event, `ready`, has the id from which on nothing is missed: list after it, then follow. Whoever comes back
says with `Last-Event-ID` what came last; 410 tells that this is too long ago, and that the client must list anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import msgspec
from sqlalchemy import Row

from cyclades.api.events.service import SERVICE
from cyclades.api.http.errors import HttpRefusal
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.api.http.service import Answer
from cyclades.api.http.times import micros
from cyclades.model.errors import Invalid, TooMany, Unauthorized
from cyclades.store import events
from cyclades.store.database import Tx

_MOST = 500  # events of one read
_MOST_STREAMS = 64  # of one project, in this process
_SILENCE = 15.0  # seconds after which a comment shows that the connection lives
_REST = 0.05  # seconds between two looks, so that a busy cloud costs each stream no more than that

_ID: Schema = {"type": "string", "pattern": "^[0-9]{0,18}$"}

_open: Counter[str] = Counter()


@SERVICE.route("GET", "/", who="reader", headers={"Last-Event-ID": _ID}, query={"last_event_id": _ID}, also=(410, 429))
async def follow(request: Request) -> Answer:
    project_id = request.caller.project_id
    if _open[project_id] >= _MOST_STREAMS:
        raise TooMany("event-streams", f"A project has at most {_MOST_STREAMS} event streams at a time.", seconds=15)
    last = _last_id(request)
    begin = await request.db.read(lambda tx: _begin(tx, last))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Answer(200, headers=headers, stream=_stream(request, project_id, begin), media="text/event-stream")


def _last_id(request: Request) -> int | None:
    header, parameter = _id(request.headers.get("last-event-id")), _id(request.one("last_event_id"))
    return parameter if header is None else header


def _id(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Invalid("last-event-id", "Last-Event-ID must be the id of an event.", field="Last-Event-ID")
    return int(text)


def _begin(tx: Tx, last: int | None) -> int:
    oldest, newest = events.bounds(tx)
    if last is None:
        return newest
    if not oldest - 1 <= last <= newest:
        raise HttpRefusal(410, f"Events after {last} are not kept any more: list anew, and follow from the start.")
    return last


async def _stream(request: Request, project_id: str, seen: int) -> AsyncIterator[bytes]:
    _open[project_id] += 1
    woken = asyncio.Event()
    silence = request.db.listen(events.SIGNAL, woken.set)
    try:
        yield _event(seen, "ready", {})
        while _may_go_on(request):
            woken.clear()
            rows = await request.db.read(partial(events.after, project_id=project_id, seen=seen, most=_MOST))
            if rows:
                seen = rows[-1].id
                yield b"".join(_event(row.id, f"{row.resource_kind}.{row.change}", _data(row)) for row in rows)
                await asyncio.sleep(_REST)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SILENCE):
                    await woken.wait()
            if not woken.is_set():
                yield b": still here\n\n"
    finally:
        silence()
        _open[project_id] -= 1
        if not _open[project_id]:
            del _open[project_id]


def _may_go_on(request: Request) -> bool:
    """A stream ends with its token."""
    try:
        request.tokens.check(request.headers["x-auth-token"])
    except Unauthorized:
        return False
    return True


def _data(row: Row[tuple[object, ...]]) -> dict[str, object]:
    return {
        "kind": row.resource_kind,
        "id": row.resource_id,
        "change": row.change,
        "status": row.status,
        "at": micros(row.created_at),
    }


def _event(event_id: int, name: str, data: dict[str, object]) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event_id, name.encode(), msgspec.json.encode(data))
