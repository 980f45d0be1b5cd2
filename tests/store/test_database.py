"""Transactions on SQLite's one writer and on PostgreSQL's threads."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from cyclades.store.database import Database, Tx
from cyclades.store.schema import quota_usage


def _add(name: str, *, fail: bool = False):  # type: ignore[no-untyped-def]
    def change(tx: Tx) -> str:
        tx.execute(quota_usage.insert().values(project_id="p", resource=name, used=1))
        tx.signal("added")
        if fail:
            raise RuntimeError(name)
        return name

    return change


async def _names(database: Database) -> set[str]:
    query = sa.select(quota_usage.c.resource)
    return set(await database.read(lambda tx: tx.execute(query).scalars().all()))


async def test_one_that_fails_takes_nobody_with_it(database: Database) -> None:
    outcomes = await asyncio.gather(
        *(database.write(_add(f"n{i}", fail=i % 3 == 0)) for i in range(30)), return_exceptions=True
    )
    good = {f"n{i}" for i in range(30) if i % 3}
    assert {o for o in outcomes if isinstance(o, str)} == good
    assert await _names(database) == good


async def test_a_broken_statement_takes_nobody_with_it(database: Database) -> None:
    await database.write(_add("twice"))
    outcomes = await asyncio.gather(
        database.write(_add("before")), database.write(_add("twice")), database.write(_add("after")),
        return_exceptions=True,
    )  # fmt: skip
    assert [isinstance(o, sa.exc.IntegrityError) for o in outcomes] == [False, True, False]
    assert await _names(database) == {"twice", "before", "after"}


async def test_signals_come_after_the_commit_and_only_then(database: Database) -> None:
    heard: list[str] = []
    stop = database.listen("added", lambda: heard.append("added"))
    with pytest.raises(RuntimeError):
        await database.write(_add("lost", fail=True))
    assert heard == []
    await database.write(_add("kept"))
    assert heard == ["added"]
    stop()
    await database.write(_add("more"))
    assert heard == ["added"]


async def test_a_read_changes_nothing(database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL's reads run without a transaction of their own")
    with pytest.raises(sa.exc.OperationalError):
        await database.read(_add("never"))


async def test_a_caller_that_goes_away_does_not_stop_the_others(database: Database) -> None:
    leaving = asyncio.ensure_future(database.write(_add("leaving")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await database.write(_add("staying")) == "staying"
    assert "staying" in await _names(database)


def test_an_error_does_not_tell_what_was_to_be_written(database: Database) -> None:
    statement = sa.text("INSERT INTO no_such_table VALUES (:hash)")
    with pytest.raises(sa.exc.DBAPIError) as raised:
        database.write_now(lambda tx: tx.execute(statement, {"hash": "f00ba7"}))
    assert "no_such_table" in str(raised.value)
    assert "f00ba7" not in str(raised.value)
