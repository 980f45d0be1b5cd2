"""Clusters are not removed under a server that is being made."""

from __future__ import annotations

import asyncio
import threading

import pytest
import sqlalchemy as sa

from cyclades.model.errors import NotFound
from cyclades.store import clusters
from cyclades.store.database import Database, Tx

_WAITING = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
SECONDS = 60.0


async def test_who_removes_one_waits_for_who_gives_it_a_server(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("has one writer")
    way = {"url": "https://127.0.0.1:5080", "user": "u", "password": b"", "certificate": "", "pools": [], "options": {}}
    await database.write(lambda tx: clusters.add(tx, "c1", **way))
    held, both = threading.Event(), threading.Event()
    ended: list[str] = []

    def give(tx: Tx) -> None:
        clusters.hold(tx, "c1", shared=True)
        held.set()
        assert both.wait(SECONDS)
        ended.append("given")

    def remove(tx: Tx) -> None:
        clusters.hold(tx, "c1")
        ended.append("removed")
        clusters.remove(tx, "c1")

    giving = asyncio.create_task(database.write(give))
    assert await asyncio.to_thread(held.wait, SECONDS)
    removing = asyncio.create_task(database.write(remove))
    while not await database.read(lambda tx: tx.execute(_WAITING).scalar_one()) and not removing.done():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    both.set()
    await asyncio.gather(giving, removing)
    assert ended == ["given", "removed"]
    with pytest.raises(NotFound):
        await database.write(lambda tx: clusters.hold(tx, "c1", shared=True))
