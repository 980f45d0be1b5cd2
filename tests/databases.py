"""Fresh databases for tests, of both kinds, quickly.

SQLite: a file with the tables is made once and copied for each test (5 ms). PostgreSQL: each test process has
one database, emptied before each test (5 ms; cloning a template took 35).
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from tests import postgres_server

from cyclades.store.database import Database
from cyclades.store.schema import metadata

KINDS = ("sqlite", "postgres")


def make_tables(engine: Engine) -> None:
    metadata.create_all(engine)


def empty(database: Database) -> None:
    """Delete all rows, for tests that run many cases on one database."""
    with database.engine.begin() as connection:
        _delete_rows(connection)


def _delete_rows(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no foreign keys for now
    for table in reversed(metadata.sorted_tables):
        connection.execute(table.delete())


class Sqlite:
    def __init__(self, directory: Path) -> None:
        self._template = directory / "template.db"
        database = Database(f"sqlite:///{self._template}")
        make_tables(database.engine)
        database.close()

    def with_tables(self, directory: Path) -> str:
        """The URL of a database without rows."""
        path = directory / "cyclades.db"
        shutil.copy(self._template, path)
        return f"sqlite:///{path}"


class Postgres:
    def __init__(self, server: str, name: str) -> None:
        """`server` is the URL of the server's database `postgres`; `name` is this test process's own."""
        self._server = sa.create_engine(server, isolation_level="AUTOCOMMIT")
        self._name = f"cyclades_{name}"
        url = self.blank(self._name)
        self._engine = sa.create_engine(url)
        make_tables(self._engine)

    def blank(self, name: str) -> str:
        """The URL of a new database without tables."""
        with self._server.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self._server.url.set(database=name).render_as_string()

    def with_tables(self) -> str:
        """The URL of a database without rows. Whoever was connected to it no longer is."""
        with self._engine.begin() as connection:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")
            _delete_rows(connection)
        return self._engine.url.render_as_string()

    def close(self) -> None:
        self._engine.dispose()
        self._server.dispose()


def postgres_server_url(shared: Path, main_pid: int) -> str:
    """Start the run's PostgreSQL if no other test process has (`shared` is a directory of all), and wait for it.
    It ends with the process `main_pid`."""
    ready = shared / "postgres.url"
    with (shared / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            command = [sys.executable, postgres_server.__file__, str(ready), str(main_pid)]
            server = subprocess.Popen(command, start_new_session=True)
            while not ready.exists() and server.poll() is None:
                time.sleep(0.02)
    text = ready.read_text()
    if text.startswith("error"):
        raise RuntimeError(f"PostgreSQL does not start: {text}")
    return text
