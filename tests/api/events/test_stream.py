"""GET /events/v1, message by message, as a web server tells the application of it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.api.client import PlainTokens, client, token

from cyclades.api import volume
from cyclades.api.app import application
from cyclades.api.events import SERVICES
from cyclades.api.http.service import Shared
from cyclades.config import Settings, load
from cyclades.engine.housekeeping import forget_all
from cyclades.model.errors import Unauthorized
from cyclades.operations.base import new_id
from cyclades.security.keys import Keys
from cyclades.security.tokens import Claims
from cyclades.store import events, volume_types, volumes
from cyclades.store.database import Database, Tx
from cyclades.store.housekeeping import KINDS
from cyclades.store.schema import event, now

PROJECT, OTHER = "a" * 32, "b" * 32
LIMIT = 60.0
TYPE = "00000000-0000-4000-8000-000000000001"
TYPE = "00000000-0000-4000-8000-000000000001"


class Event(NamedTuple):
    id: int
    name: str
    data: dict[str, Any]


class Tokens(PlainTokens):
    revoked = False

    def check(self, text: str) -> Claims:
        if self.revoked:
            raise Unauthorized("token", "Revoked.")
        return super().check(text)


class Stream:
    """One connection."""

    def __init__(self, app: Any, project_id: str, **headers: str) -> None:
        self._app, self._incoming = app, asyncio.Queue[dict[str, Any]]()
        self._sent = asyncio.Queue[dict[str, Any]]()
        sent = {"x-auth-token": token(project_id), **headers}
        self._scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": "/events/v1", "raw_path": b"", "query_string": b"", "root_path": "",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
        }  # fmt: skip
        self._text = b""
        self.status = 0

    async def __aenter__(self) -> Stream:
        self._task = asyncio.create_task(self._app(self._scope, self._incoming.get, self._sent.put))
        start = await asyncio.wait_for(self._sent.get(), LIMIT)
        self.status = start["status"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def next(self) -> Event:
        while b"\n\n" not in self._text:
            message = await asyncio.wait_for(self._sent.get(), LIMIT)
            self._text += message["body"]
        text, _, self._text = self._text.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in text.decode().splitlines())
        return Event(int(fields["id"]), fields["event"], msgspec.json.decode(fields["data"]))

    async def ended(self) -> None:
        await asyncio.wait_for(self._task, LIMIT)


class Watched(NamedTuple):
    db: Database
    app: Any
    tokens: Tokens

    def stream(self, project_id: str = PROJECT, **headers: str) -> Stream:
        return Stream(self.app, project_id, **headers)

    async def add(self, project_id: str = PROJECT) -> str:
        volume_id = new_id()
        await self.db.write(lambda tx: _add(tx, volume_id, project_id))
        return volume_id


def _add(tx: Tx, volume_id: str, project_id: str) -> None:
    volumes.add(
        tx, volume_id, project_id=project_id, user_id="u", status="creating", size=1, volume_type_id=TYPE, pool="p",
        availability_zone="nova",
    )  # fmt: skip


@pytest.fixture
async def watched(database: Database, tmp_path: Path) -> Watched:
    settings: Settings = load(None, {}, data=str(tmp_path))
    tokens = Tokens()
    await database.write(lambda tx: volume_types.add(tx, TYPE, name="t", is_default=True, extra_specs={}))
    app = application(list(SERVICES), Shared(database, settings, Keys(settings.key_dir), tokens))
    return Watched(database, app, tokens)


async def test_changes_come_in_order_once_for_each_transaction(watched: Watched) -> None:
    async with watched.stream() as stream:
        assert (await stream.next()).name == "ready"
        first, second = await watched.add(), await watched.add()

        def both(tx: Tx) -> None:
            volumes.change(tx, first, status="available")
            volumes.change(tx, first, name="again")
            volumes.change(tx, second, deleted_at=now(), status="deleted")

        await watched.db.write(both)
        seen = [await stream.next() for _ in range(4)]
    assert [(e.name, e.data["id"], e.data["status"]) for e in seen] == [
        ("volume.created", first, "creating"),
        ("volume.created", second, "creating"),
        ("volume.updated", first, "available"),
        ("volume.deleted", second, "deleted"),
    ]
    assert [e.id for e in seen] == sorted({e.id for e in seen})


async def test_what_was_rolled_back_never_happened(watched: Watched) -> None:
    async with watched.stream() as stream:
        await stream.next()

        def fail(tx: Tx) -> None:
            _add(tx, new_id(), PROJECT)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await watched.db.write(fail)
        there = await watched.add()
        assert (await stream.next()).data["id"] == there


async def test_only_ones_own_project(watched: Watched) -> None:
    async with watched.stream(OTHER) as theirs, watched.stream() as mine:
        await theirs.next()
        await mine.next()
        await watched.add()
        other = await watched.add(OTHER)
        assert (await theirs.next()).data["id"] == other
        assert (await mine.next()).data["id"] != other


async def test_a_client_that_comes_back_misses_nothing(watched: Watched) -> None:
    async with watched.stream() as stream:
        await stream.next()
        await watched.add()
        last = (await stream.next()).id
    missed = [await watched.add() for _ in range(3)]
    async with watched.stream(last_event_id=str(last)) as stream:
        assert (await stream.next()).id == last
        assert [(await stream.next()).data["id"] for _ in missed] == missed


async def test_what_is_too_long_ago_is_gone(watched: Watched) -> None:
    for _ in range(3):
        await watched.add()
    ids = await watched.db.read(lambda tx: [row.id for row in tx.execute(event.select())])
    await watched.db.write(lambda tx: tx.execute(event.update().values(created_at=1)))
    await forget_all(watched.db, Settings(), next(kind for kind in KINDS if kind.table is event))
    assert await watched.db.read(events.bounds) == (max(ids), max(ids))
    async with watched.stream(last_event_id=str(min(ids))) as stream:
        assert stream.status == 410
    async with watched.stream(last_event_id=str(max(ids) + 1)) as stream:
        assert stream.status == 410
    async with watched.stream(last_event_id=str(max(ids))) as stream:
        assert stream.status == 200


async def test_bad_ids(watched: Watched) -> None:
    for text in ("-1", "x", "1" * 19, ""):
        async with watched.stream(last_event_id=text) as stream:
            assert stream.status == (200 if text == "" else 400)


async def test_a_stream_ends_with_its_token(watched: Watched) -> None:
    async with watched.stream() as stream:
        await stream.next()
        watched.tokens.revoked = True
        await watched.add()
        await stream.ended()


async def test_too_many_streams_of_one_project(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclades.api.events.stream._MOST_STREAMS", 1)
    async with watched.stream() as one:
        await one.next()
        async with watched.stream() as other:
            assert other.status == 429
        async with watched.stream(OTHER) as other:
            assert other.status == 200
            await other.next()
    async with watched.stream() as one:
        assert one.status == 200


async def test_creating_a_volume_by_its_api(watched: Watched, tmp_path: Path) -> None:
    settings = load(None, {}, data=str(tmp_path))
    headers = {"X-Auth-Token": token(PROJECT), "OpenStack-API-Version": "volume 3.71"}
    async with watched.stream() as stream, client(watched.db, settings, volume.SERVICES, **headers) as member:
        await stream.next()
        made = await member.post("/volume/v3/volumes", json={"volume": {"size": 1}})
        assert (await stream.next()).data["id"] == made.json()["volume"]["id"]
