"""Waiting until operations have ended; on a terminal with a look at how far they are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Row

from cyclades.operations.base import registry
from cyclades.store import operations as rows
from cyclades.store import services
from cyclades.store.database import Database

_LOOK = 0.02, 0.5  # seconds between looks: at first, and at most
_ALONE = 3.0  # seconds without an engine that are waited: one may just be starting


class NoEngine(Exception):
    """None has been there for a while; the message says what that means."""


def until_ended(db: Database, titles: Mapping[str, str]) -> list[Row[Any]]:
    """`titles` has one for each operation's id. Returns their rows when all have ended. Raises `NoEngine`."""
    begun = alone_since = time.monotonic()
    pause, longest = _LOOK
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        bars = {op_id: shown.add_task(title, total=1.0) for op_id, title in titles.items()}
        while True:
            found = db.read_now(lambda tx: rows.every(tx, list(titles)))
            for row in found:
                description = " — ".join(filter(None, (titles[row.id], row.reason)))
                shown.update(bars[row.id], completed=_fraction(row), description=description)
            if all(row.ended_at is not None for row in found):
                return found
            moment = time.monotonic()
            if db.read_now(lambda tx: services.is_there(tx, "engine")):
                alone_since = moment
            elif moment - alone_since > _ALONE:
                how = "cyclades up" if db.is_sqlite else "cyclades engine"
                raise NoEngine(
                    f"No engine runs; waited for {moment - begun:.0f} seconds. It was accepted, and is done when one "
                    f"runs again: start `{how}`, and see `cyclades operation-list`."
                )
            time.sleep(pause)
            pause = min(pause * 2, longest)


def _fraction(row: Row[Any]) -> float:
    """How far an operation is, each step counting the same."""
    if row.ended_at is not None:
        return 1.0
    fraction: float = (max(row.step, 0) + row.progress) / len(registry()[row.kind].steps)
    return fraction
