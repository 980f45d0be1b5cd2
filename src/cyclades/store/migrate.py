"""Brings a database to the present tables (Alembic)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, func, select

from cyclades.store import backup, revisions
from cyclades.store.revisions import newest, revision_of

_ONE_AT_A_TIME = 0x6379636C61646573  # the number of a lock in PostgreSQL


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(revisions.MIGRATIONS))
    return config


def upgrade(engine: Engine) -> Path | None:
    """Migrate to the newest revision. Every row is kept; run twice, nothing happens the second time. A SQLite file that
    has something in it is copied first; returns the copy. Raises `Newer`."""
    before = revision_of(engine)
    if before == newest():
        return None
    copy = None
    if before is not None and engine.url.get_backend_name() == "sqlite":
        copy = _copy(Path(str(engine.url.database)))
    config = _config()
    with engine.connect() as connection, _rows_kept(connection), connection.begin():
        if connection.dialect.name == "postgresql":  # SQLite has one writer in any case
            connection.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return copy


@contextmanager
def _rows_kept(connection: Connection) -> Iterator[None]:
    """SQLite alters a table by making it anew; to drop the old one would delete what refers to it. Only outside a
    transaction can that be switched off. The connection is not used again afterwards."""
    if connection.dialect.name == "sqlite":
        driver = connection.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("PRAGMA foreign_keys = OFF")
    yield


def _copy(file: Path) -> Path:
    """A consistent copy of a SQLite file beside it."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    copy = file.with_name(f"{file.name}.before-{newest()}-{moment}")
    backup.copy(file, copy)
    return copy
