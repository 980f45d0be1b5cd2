"""`cyclades db backup`"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import typer

from cyclades.cli import database
from cyclades.cli.refused import Refused
from cyclades.config import Settings
from cyclades.store import backup as store


def backup(settings: Settings, file: Path) -> None:
    if not database.is_sqlite(settings):
        raise Refused("The database is PostgreSQL's: `pg_dump` makes its backups.")
    with database.opened(settings) as db:
        try:
            store.copy(Path(str(db.url.database)), file)
        except FileExistsError:
            raise Refused(f"{file} is there already.") from None
        except (OSError, sqlite3.Error) as error:
            raise Refused(f"{file} cannot be written: {error}") from error
    typer.echo(f"The database is in {file}.")
