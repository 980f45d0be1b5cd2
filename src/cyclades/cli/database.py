"""The database, as the programs open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError

from cyclades.cli.refused import Refused
from cyclades.config import Settings
from cyclades.store import revisions
from cyclades.store.database import Database


def is_sqlite(settings: Settings) -> bool:
    return _url(settings).get_backend_name() == "sqlite"


def _url(settings: Settings) -> sa.URL:
    try:
        return sa.make_url(settings.database_url)
    except ArgumentError as error:
        raise Refused(f"[database] url: {error}.") from error


@contextmanager
def opened(settings: Settings, *, make: bool = False) -> Iterator[Database]:
    """The database. `make`: a SQLite file that is missing is made."""
    file = Path(_url(settings).database or "") if is_sqlite(settings) else None
    if file is not None:
        if make:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.chmod(0o600)
        elif not file.exists():
            raise Refused(f"There is no cloud in {file.parent}: `cyclades up` makes one.")
    with _usable():
        db = Database(settings.database_url, threads=settings.database.threads)
    try:
        yield db
    finally:
        db.close()


def require_current(db: Database) -> None:
    """Refuse a database that is not at this version's tables."""
    there, needed = _revision(db), revisions.newest()
    if there != needed:
        state = "has no tables yet" if there is None else f"is at revision {there}, and this version needs {needed}"
        raise Refused(f"The database {state}: run `cyclades db upgrade`.")


def upgrade(db: Database) -> tuple[str | None, Path | None]:
    """Bring it to this version's tables; returns the revision that it had, and the copy that was made of it."""
    from cyclades.store import migrate

    before = _revision(db)
    return before, migrate.upgrade(db.engine)


def _revision(db: Database) -> str | None:
    try:
        with _usable():
            return revisions.revision_of(db.engine)
    except revisions.Newer as error:
        raise Refused(str(error)) from error


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise Refused(f"The database cannot be used: {error.orig}") from error
