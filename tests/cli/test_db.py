"""`cyclades db upgrade`, and what the processes do without it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.clouds import Cloud
from tests.processes import command

from cyclades.config import load
from cyclades.store import revisions
from cyclades.store.database import Database


def test_it_makes_the_tables_and_later_nothing(blank_config: Path, blank_database_url: str) -> None:
    newest = revisions.newest()
    first = command("db", "upgrade", "--config", blank_config)
    assert (first.returncode, first.stdout) == (0, f"Database is at {newest} (was empty).\n"), first.stderr
    again = command("db", "upgrade", "--config", blank_config)
    assert (again.returncode, again.stdout) == (0, f"Database is at {newest} (was {newest}).\n")
    database = Database(blank_database_url)
    assert revisions.revision_of(database.engine) == newest
    database.close()


def test_several_at_once(new_postgres: Callable[[str], str], tmp_path: Path) -> None:
    settings = {"CYCLADES_DATABASE_URL": new_postgres("at_once"), "CYCLADES_DATA": str(tmp_path)}
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _: command("db", "upgrade", **settings), range(3)))
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 3


def test_the_directory_alone_names_a_sqlite_database(data: Path) -> None:
    assert command("db", "upgrade", "--data", data).returncode == 0
    assert (data / "cyclades.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("program", ["api", "engine"])
def test_processes_refuse_old_tables_and_sqlite(program: str, database_kind: str, blank_config: Path) -> None:
    done = command(program, "--config", blank_config)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == {
            "postgres": "cyclades: The database has no tables yet: run `cyclades db upgrade`.",
            "sqlite": "cyclades: Separate processes need PostgreSQL: set [database] url. On SQLite, use `cyclades up`.",
        }[database_kind]
    )


@pytest.mark.parametrize("words", [("api",), ("engine",), ("db", "upgrade"), ("volume-create", "--size", "1")])
def test_a_database_that_is_not_there(words: tuple[str, ...], tmp_path: Path) -> None:
    """Nobody listens on that socket."""
    url = f"postgresql+psycopg://cyclades:secret@/cyclades?host={tmp_path}"
    done = command(*words, CYCLADES_DATABASE_URL=url, CYCLADES_DATA=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("cyclades: The database cannot be used: ")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_a_url_that_is_none(tmp_path: Path) -> None:
    done = command("api", CYCLADES_DATABASE_URL="nonsense", CYCLADES_DATA=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("cyclades: [database] url: ")


@pytest.mark.parametrize("words", [("api",), ("engine",), ("volume-list",)])
def test_tables_of_an_older_version(words: tuple[str, ...], blank_config: Path, database_kind: str) -> None:
    """A process says what to do, and a cloud of one process does it when it starts."""
    if database_kind == "sqlite" and words != ("volume-list",):
        pytest.skip("`up` is all there is on SQLite")
    newest, before = revisions.newest(), revisions.known()[-2]
    assert command("db", "upgrade", "--config", blank_config).returncode == 0
    database = Database(load(blank_config, {}).database_url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{before}'")
    database.close()
    done = command(*words, "--config", blank_config)
    needs = f"The database is at revision {before}, and this version needs {newest}: run `cyclades db upgrade`."
    assert (done.returncode, done.stderr.strip()) == (1, f"cyclades: {needs}")


def test_a_database_of_a_newer_version(data: Path) -> None:
    assert command("db", "upgrade", "--data", data).returncode == 0
    database = Database(f"sqlite:///{data}/cyclades.db")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    for words in (("up",), ("volume-create", "--size", "1")):
        done = command(*words, "--data", data)
        assert done.returncode == 1
        assert "The database is at revision 9999, made by a newer version" in done.stderr
        assert "Traceback" not in done.stderr


def test_any_name_of_a_directory(tmp_path: Path) -> None:
    """It is a part of a URL, where some characters mean something."""
    data = tmp_path / "why? 100%25 #1"
    assert command("db", "upgrade", "--data", data).returncode == 0
    assert (data / "cyclades.db").exists()
    assert command("volume-list", "--data", data).returncode == 0


def test_it_does_not_run_beside_a_cloud(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "cloud")
    try:
        cloud.start()
        done = command("db", "upgrade", "--data", cloud.data)
        assert done.returncode == 1
        assert done.stderr.strip() == f"cyclades: Another `cyclades up` runs on {cloud.data}."
    finally:
        cloud.end()


def test_a_backup(blank_config: Path, database_kind: str, tmp_path: Path) -> None:
    assert command("db", "upgrade", "--config", blank_config).returncode == 0
    target = tmp_path / "backup.db"
    done = command("db", "backup", target, "--config", blank_config)
    if database_kind == "postgres":
        assert (done.returncode, target.exists()) == (1, False)
        assert "pg_dump" in done.stderr
        return
    assert (done.returncode, done.stdout) == (0, f"The database is in {target}.\n")
    assert target.stat().st_mode & 0o777 == 0o600
    database = Database(f"sqlite:///{target}")
    assert revisions.revision_of(database.engine) == revisions.newest()
    database.close()
    again = command("db", "backup", target, "--config", blank_config)
    assert (again.returncode, again.stderr) == (1, f"cyclades: {target} is there already.\n")
