"""Migrations, from a blank database and over rows that are there."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from cyclades.store import migrate, revisions, roles, users
from cyclades.store.database import Database, Tx
from cyclades.store.schema import metadata

# SQLite can only do this by making the table anew, and dropping the old one would delete what refers to it.
_LATER = """
from alembic import op
import sqlalchemy as sa

revision, down_revision = "9999", {newest!r}

def upgrade():
    with op.batch_alter_table("user", recreate="auto") as user:
        user.alter_column("name", type_=sa.String(300))
"""


@pytest.fixture
def blank(blank_database_url: str) -> Iterator[Database]:
    database = Database(blank_database_url)
    yield database
    database.close()


def become_newer(directory: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    """Be a version with one more migration, which alters a table that others refer to, and does `more`."""
    text = _LATER.format(newest=revisions.newest()) + more
    scripts = directory / "migrations"
    shutil.copytree(revisions.MIGRATIONS, scripts)
    (scripts / "versions" / "9999_later.py").write_text(text)
    monkeypatch.setattr(revisions, "MIGRATIONS", scripts)


def differences(database: Database) -> list[object]:
    """What Alembic would have to change to make the tables those of `schema.py`."""
    options = {"compare_type": True, "compare_server_default": True}
    with database.engine.connect() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index")
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return [*found, *sorted(indexes(database) ^ indexes_of_the_schema(database))]


def indexes(database: Database) -> set[str]:
    """What made each index of a SQLite database: Alembic passes over those with an expression there."""
    if not database.is_sqlite:
        return set()
    made = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    with database.engine.connect() as connection:
        return {" ".join(sql.split()) for sql in connection.exec_driver_sql(made).scalars()}


def indexes_of_the_schema(database: Database) -> set[str]:
    if not database.is_sqlite:
        return set()
    with tempfile.TemporaryDirectory() as directory:
        made = Database(f"sqlite:///{directory}/schema.db")
        metadata.create_all(made.engine)
        found = indexes(made)
        made.close()
    return found


def test_a_blank_database_gets_exactly_the_tables_of_the_schema(blank: Database) -> None:
    assert revisions.revision_of(blank.engine) is None
    assert len(differences(blank)) >= len(metadata.tables)
    assert migrate.upgrade(blank.engine) is None
    assert differences(blank) == []
    assert revisions.revision_of(blank.engine) == revisions.newest()
    assert migrate.upgrade(blank.engine) is None


def add_rows(database: Database) -> None:
    def add(tx: Tx) -> None:
        domain = {"id": "default", "name": "Default", "description": "", "created_at": 1}
        tx.execute(metadata.tables["domain"].insert(), domain)
        users.add(tx, "u", domain_id="default", name="ada")
        roles.add(tx, "r", name="member")
        role = {"user_id": "u", "target_kind": "project", "target_id": "p", "role_id": "r"}
        tx.execute(metadata.tables["assignment"].insert(), role)

    database.write_now(add)


def count(engine: sa.Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(metadata.tables[table])).scalar_one()


def earlier_revisions() -> list[str]:
    scripts = ScriptDirectory.from_config(migrate._config())
    return [script.revision for script in scripts.walk_revisions() if script.revision != revisions.newest()]


def test_each_file_is_named_for_its_revision() -> None:
    """So a command need not load Alembic to know them."""
    scripts = ScriptDirectory.from_config(migrate._config())
    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(revisions.known()))


def become_older(directory: Path, monkeypatch: pytest.MonkeyPatch, revision: str) -> None:
    """Be the version whose newest revision that was."""
    scripts = directory / "earlier"
    shutil.copytree(revisions.MIGRATIONS, scripts)
    for file in (scripts / "versions").glob("[0-9]*.py"):
        if file.name[:4] > revision:
            file.unlink()
    monkeypatch.setattr(revisions, "MIGRATIONS", scripts)


def reflected(database: Database) -> sa.MetaData:
    """The tables that there are, whatever `schema.py` says."""
    found = sa.MetaData()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index")
        found.reflect(database.engine)
    return found


def fill(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Two rows in every table that there is, with a value in every column; returns them as they are read."""
    tables = reflected(database).sorted_tables
    with database.engine.begin() as connection:
        for table in tables:
            if table.name != "alembic_version":
                connection.execute(table.insert(), [_row(table, number) for number in (1, 2)])
    return every_row(database)


def _row(table: sa.Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column, number) for column in table.columns}


def _value(column: sa.Column[Any], number: int) -> Any:
    """Rows refer to those of their own number; what refers to its own table, to the first one."""
    for key in column.foreign_keys:
        return _value(key.column, 1 if key.column.table is column.table else number)
    kind = column.type
    if isinstance(kind, sa.JSON):
        return {"number": number}
    if isinstance(kind, sa.LargeBinary):
        return bytes([number])
    if isinstance(kind, sa.Boolean):
        return number == 1
    if isinstance(kind, sa.Numeric | sa.Float | sa.Integer):
        return number
    return str(number)


def every_row(database: Database) -> dict[str, list[dict[str, Any]]]:
    tables = reflected(database).sorted_tables
    with database.engine.connect() as connection:
        return {
            table.name: [
                dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in tables
            if table.name != "alembic_version"
        }


@pytest.mark.parametrize("revision", earlier_revisions())
def test_from_each_earlier_revision_with_rows_in_every_table(blank: Database, tmp_path: Path, revision: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        become_older(tmp_path, patch, revision)
        migrate.upgrade(blank.engine)
        assert revisions.revision_of(blank.engine) == revision
        before = fill(blank)
    migrate.upgrade(blank.engine)
    assert differences(blank) == []
    after = every_row(blank)
    assert set(before) <= set(after)
    for table, rows in before.items():
        assert len(rows) == 2
        assert [{name: row[name] for name in rows[0]} for row in after[table]] == rows, table


def test_an_upgrade_keeps_every_row_and_on_sqlite_a_copy(
    blank: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(blank.engine)
    add_rows(blank)
    before = revisions.newest()
    become_newer(tmp_path, monkeypatch)
    copy = migrate.upgrade(blank.engine)
    assert revisions.revision_of(blank.engine) == "9999"
    assert {table: count(blank.engine, table) for table in ("user", "assignment")} == {"user": 1, "assignment": 1}
    if not blank.is_sqlite:
        assert copy is None
        return
    assert copy is not None
    assert copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(before,)]
        assert connection.execute('SELECT name FROM "user"').fetchall() == [("ada",)]
    # What refers to the table that was made anew still does.
    with pytest.raises(sa.exc.IntegrityError), blank.engine.begin() as connection:
        connection.execute(metadata.tables["assignment"].update().values(user_id="nobody"))


def test_a_migration_that_fails_changes_nothing(
    blank: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(blank.engine)
    before = revisions.newest()
    become_newer(tmp_path, monkeypatch, '    op.drop_table("keypair")\n    raise RuntimeError("half way")\n')
    with pytest.raises(RuntimeError, match="half way"):
        migrate.upgrade(blank.engine)
    assert revisions.revision_of(blank.engine) == before
    assert differences(blank) == []


def test_a_database_of_a_newer_version(blank: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        become_newer(tmp_path, patch)
        migrate.upgrade(blank.engine)
    for wanted in (revisions.revision_of, migrate.upgrade):
        with pytest.raises(revisions.Newer, match="9999"):
            wanted(blank.engine)
