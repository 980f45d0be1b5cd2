from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from cyclades.store import revocations
from cyclades.store.database import Database, Tx
from cyclades.store.schema import now


def test_ids_are_in_the_order_of_commits(database: Database) -> None:
    """The second to ask for an id waits until the first has committed, so no id appears behind a greater one."""
    if database.is_sqlite:
        pytest.skip("SQLite has one writer")
    added, go_on = threading.Event(), threading.Event()

    def first(tx: Tx) -> None:
        revocations.add(tx, "user", ["first"])
        added.set()
        assert go_on.wait(60)

    threads = [
        threading.Thread(target=database.write_now, args=[first]),
        threading.Thread(target=database.write_now, args=[lambda tx: revocations.add(tx, "user", ["second"])]),
    ]
    threads[0].start()
    try:
        assert added.wait(60)
        threads[1].start()
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while database.read_now(lambda tx: tx.execute(waiting).scalar_one()) == 0:
            assert threads[1].is_alive(), "the second did not wait for the first"
    finally:
        go_on.set()
        for thread in threads:
            thread.join(60)
    assert [row.subject for row in database.read_now(lambda tx: revocations.after(tx, 0))] == ["first", "second"]


def test_only_what_is_new_and_still_matters_is_read(database: Database) -> None:
    database.write_now(lambda tx: revocations.add(tx, "token", ["old"], expires_at=now() - 1))
    database.write_now(lambda tx: revocations.add(tx, "user", ["a", "b"]))
    rows = database.read_now(lambda tx: revocations.after(tx, 0))
    assert [row.subject for row in rows] == ["a", "b"]
    assert database.read_now(lambda tx: revocations.after(tx, rows[0].id)) == rows[1:]
    assert database.read_now(lambda tx: revocations.after(tx, rows[1].id)) == []


def test_forgetting_never_gives_an_id_twice(database: Database) -> None:
    database.write_now(lambda tx: revocations.add(tx, "token", ["a"], expires_at=now() + 60_000_000))
    before = database.read_now(lambda tx: revocations.after(tx, 0))[0].id
    database.write_now(lambda tx: tx.execute(sa.text("UPDATE revocation SET expires_at = 1")))
    database.write_now(lambda tx: tx.execute(sa.text("DELETE FROM revocation")))
    database.write_now(lambda tx: revocations.add(tx, "user", ["b"]))
    assert database.read_now(lambda tx: revocations.after(tx, 0))[0].id > before
