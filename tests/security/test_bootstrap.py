from __future__ import annotations

from cyclades.security import bootstrap
from cyclades.store import assignments, projects, users
from cyclades.store.database import Database

HASHES = {"admin": "a", "demo": "d"}


def test_a_new_cloud(database: Database) -> None:
    assert not database.read_now(bootstrap.is_done)
    assert database.write_now(lambda tx: bootstrap.make(tx, HASHES))
    assert database.read_now(bootstrap.is_done)
    held = {
        (row.user_name, row.target_kind, row.target_name, row.role_name) for row in database.read_now(assignments.every)
    }
    assert held == {
        ("admin", "project", "admin", "admin"),
        ("admin", "system", None, "admin"),
        ("demo", "project", "demo", "member"),
    }


def test_what_was_removed_does_not_come_back(database: Database) -> None:
    database.write_now(lambda tx: bootstrap.make(tx, HASHES))
    demo = database.read_now(lambda tx: users.by_name(tx, "demo", "default").id)
    database.write_now(lambda tx: users.remove(tx, demo))
    assert not database.write_now(lambda tx: bootstrap.make(tx, HASHES))
    assert [row.name for row in database.read_now(users.every)] == ["admin"]
    assert len(database.read_now(projects.every)) == 2


def test_passwords_are_random() -> None:
    assert len({bootstrap.new_password() for _ in range(10)}) == 10
    assert len(bootstrap.new_password()) >= 20
