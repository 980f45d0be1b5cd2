"""Whether a process says that it is ready when it is, and only then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.client import client

from cyclades.config import load
from cyclades.monitoring import readiness as module
from cyclades.monitoring.readiness import Readiness
from cyclades.security.keys import Keys
from cyclades.store import revisions
from cyclades.store.database import Database


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def database(blank_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """With nothing in it but the revision that this version needs."""
    made = Database(blank_database_url)

    def mark(tx: Any) -> None:
        tx.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        tx.execute(sa.text("INSERT INTO alembic_version VALUES (:it)"), {"it": revisions.newest()})

    made.write_now(mark)
    monkeypatch.setattr(module, "FRESH", 0.0)
    yield made
    made.close()


async def test_it_is_ready(database: Database, keys: Keys) -> None:
    assert await Readiness(database, keys).answer() == (200, {"status": "ready"})
    assert await Readiness(database, keys, lambda: True).problems() == {}


async def test_other_tables(database: Database, keys: Keys) -> None:
    ready = Readiness(database, keys)
    assert await ready.problems() == {}
    database.write_now(lambda tx: tx.execute(sa.text("UPDATE alembic_version SET version_num = '0001'")))
    status, answer = await ready.answer()
    assert (status, list(answer["problems"])) == (503, ["database"])
    assert "0001" in answer["problems"]["database"]
    database.write_now(lambda tx: tx.execute(sa.text("DROP TABLE alembic_version")))
    assert list(await ready.problems()) == ["database"]


async def test_no_keys_and_no_engine(
    database: Database, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyclades.security.keys._LOOK_AGAIN", -1.0)
    for file in (tmp_path / "keys").glob("tokens-*"):
        file.unlink()
    assert list(await Readiness(database, keys, lambda: False).problems()) == ["keys", "engine"]


class _Slow:
    """A database that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.may = 0, threading.Event()

    async def read(self, query: Callable[[Any], Any]) -> str:
        self.asked += 1
        await asyncio.to_thread(self.may.wait)
        return revisions.newest()


async def test_a_database_that_does_not_answer_is_asked_once(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    slow = _Slow()
    ready = Readiness(slow, keys)  # type: ignore[arg-type]
    try:
        answers = await asyncio.gather(*(ready.problems() for _ in range(100)))
        assert {answer["database"] for answer in answers} == {"It does not answer."}
        assert slow.asked == 1
    finally:
        slow.may.set()
    assert ready._asking is not None
    await ready._asking
    assert await ready.problems() == {}


async def test_it_is_asked_over_http_without_a_token(tmp_path: Path) -> None:
    broken = Database(f"sqlite:///{tmp_path}/without-tables.db")
    async with client(broken, load(None, {}, data=str(tmp_path)), ()) as http:
        assert (await http.get("/healthz")).status_code == 200
        answer = await http.get("/readyz")
    broken.close()
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "problems": {"database": "It cannot be used; the log says why."},
    }
