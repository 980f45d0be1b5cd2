"""What servers do by themselves, told by comparing looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests import databases

from cyclades.backends.base import News, Power
from cyclades.backends.ganeti.book import Book
from cyclades.backends.ganeti.instances import Instance
from cyclades.backends.ganeti.watch import Watch
from cyclades.model.errors import Away
from cyclades.store import backend_disks
from cyclades.store.database import Database

LIMIT = 60.0  # seconds
VOLUME, UUID = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"


class Cluster:
    """What each look gives, one after the other; then nothing more is looked at."""

    def __init__(self, *looks: dict[str, Power] | None) -> None:
        self.looks = list(looks)

    async def look(self) -> list[Instance]:
        if not self.looks:
            await asyncio.Event().wait()
        powers = self.looks.pop(0)
        if powers is None:
            raise Away("Away.")
        return [Instance(one, one, power, True, "node1", "ext", (), 64, 1) for one, power in powers.items()]


@pytest.fixture
def database(tmp_path: Path) -> Any:
    database = Database(f"sqlite:///{tmp_path}/cyclades.db")
    databases.make_tables(database.engine)
    yield database
    database.close()


async def told(database: Database, *looks: dict[str, Power] | None) -> list[News]:
    cluster = Cluster(*looks)
    watch = Watch("north", cluster.look, Book(database, "north"), 0.0)
    watch.open()
    async with asyncio.timeout(LIMIT):
        while cluster.looks:  # noqa: ASYNC110 (it is read by a task of its own)
            await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    found: list[News] = []
    news: AsyncIterator[News] = watch.news()
    while not watch._news.empty():
        found.append(await anext(news))
    await watch.close()
    return found


async def changes(database: Database, *looks: dict[str, Power] | None) -> list[tuple[str, str]]:
    return [(news.server_id, news.what) for news in await told(database, *looks, looks[-1])]


async def test_nothing_happens(database: Database) -> None:
    assert await changes(database, {"a": "running", "b": "stopped"}, {"a": "running", "b": "stopped"}) == []


async def test_what_has_died_before_is_told(database: Database) -> None:
    assert await changes(database, {"a": "running", "b": "crashed"}) == [("b", "crashed")]


async def test_changes_are_told_once(database: Database) -> None:
    looks: list[dict[str, Power] | None] = [
        {"a": "running", "b": "running"},
        {"a": "stopped", "b": "running", "new": "running"},
        {"a": "running", "new": "running"},
    ]
    assert await changes(database, *looks) == [("a", "stopped"), ("a", "running"), ("b", "crashed")]


async def test_a_node_that_does_not_answer_is_no_news(database: Database) -> None:
    assert await changes(database, {"a": "running"}, {"a": "unknown"}, None, {"a": "running"}) == []
    assert await changes(database, {"a": "running"}, {"a": "unknown"}, {"a": "crashed"}) == [("a", "crashed")]


async def hold(database: Database, **more: Any) -> None:
    values: dict[str, Any] = {"volume_id": VOLUME, "server_id": "a", "template": "ext", "size": 1, "generation": 4}
    await database.write(lambda tx: backend_disks.saw(tx, "north", UUID, **(values | {"held": True} | more)))


async def test_a_held_disk_is_free_once_its_server_is_off(database: Database) -> None:
    await hold(database)
    assert await told(database, {"a": "running"}, {"a": "unknown"}, {"a": "running"}) == []
    free = News("a", "unplugged", VOLUME, 4)
    assert await told(database, {"a": "running"}, {"a": "stopped"}, {"a": "stopped"}) == [News("a", "stopped"), free]
    assert await database.read(lambda tx: backend_disks.of_volume(tx, VOLUME)) is None


async def test_a_disk_that_is_not_held_is_left_alone(database: Database) -> None:
    await hold(database, held=False)
    assert await told(database, {"a": "stopped"}, {"a": "stopped"}, {}) == [News("a", "crashed")]
    assert await database.read(lambda tx: backend_disks.of_volume(tx, VOLUME)) is not None
