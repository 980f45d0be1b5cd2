"""A consistent copy of a SQLite database, made while others read and write it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def copy(file: Path, target: Path) -> None:
    """`target`, which must not be there yet (`FileExistsError`), holds everything that was committed when it began."""
    target.touch(mode=0o600, exist_ok=False)
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as made:
        source.backup(made)
