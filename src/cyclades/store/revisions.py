"""Which revision of the tables a database has, and which one this program needs. Without Alembic, which takes a
command as long to load as all the rest."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Engine

from cyclades.store.database import Tx

MIGRATIONS = Path(__file__).parent / "migrations"

_KEPT = sa.table("alembic_version", sa.column("version_num"))


class Newer(Exception):
    """The database has tables that only a newer version of this program knows."""


def known() -> list[str]:
    """All of them, the oldest first: each begins the name of its file."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def newest() -> str:
    """The revision that this program needs."""
    return known()[-1]


def revision(tx: Tx) -> str | None:
    """The revision of a database that has tables."""
    found: str | None = tx.execute(sa.select(_KEPT.c.version_num)).scalar()
    return found


def revision_of(engine: Engine) -> str | None:
    """The revision that a database has; None for an empty one. Raises `Newer` if this program does not know it."""
    with engine.connect() as connection:
        there = sa.inspect(connection).has_table(_KEPT.name)
        found: str | None = connection.execute(sa.select(_KEPT.c.version_num)).scalar() if there else None
    if found is not None and found not in known():
        raise Newer(f"The database is at revision {found}, made by a newer version: run that, or restore a backup.")
    return found
