"""`cyclades doctor`"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from cyclades.cli import database
from cyclades.cli.beside import Cloud
from cyclades.cli.checkup import here, places, work
from cyclades.cli.checkup.finding import Finding, Findings, Severity, looked
from cyclades.cli.command import command
from cyclades.cli.resource import Resource
from cyclades.config import Settings
from cyclades.store.database import Database, Tx

_FINDING = Resource(
    columns=("severity", "about", "finding", "advice"),
    more=(),
    key=sa.column("about"),
    read=lambda *_: [],
)


@command(_FINDING)
def doctor(
    cloud: Cloud,
    problems: Annotated[bool, typer.Option("--problems", help="Only warnings and errors.")] = False,
) -> int:
    """Look at everything once, and say what to do next: the worst first.

    Settings, keys, database, clock, processes, operations, pools, backends, reconciliation, housekeeping. It changes
    nothing, and works beside a cloud that runs as well as without it. Ends with 0 if all is well, with 1 if there are
    warnings, with 2 if there are errors (and, as every command, for wrong usage).
    """
    found = sorted(_everything(cloud.settings, cloud.config), key=lambda one: -one.severity)
    shown = [one for one in found if one.severity or not problems]
    cloud.show_items(
        [
            {"severity": one.severity.name.lower(), "about": one.about, "finding": one.text, "advice": one.advice}
            for one in shown
        ]
    )
    return max((one.severity for one in found), default=Severity.OK)


def _everything(settings: Settings, file: Path | None) -> list[Finding]:
    found = [
        *looked("settings", partial(here.settings, settings, file)),
        *looked("certificate", partial(here.certificate, settings)),
        *looked("data directory", partial(here.directory, settings)),
        *looked("keys", partial(here.of_keys, settings)),
    ]
    right_keys = not any(one.about == "keys" and one.severity is Severity.ERROR for one in found)
    return found + list(looked("database", partial(_of_database, settings, right_keys=right_keys)))


def _of_database(settings: Settings, *, right_keys: bool) -> Findings:
    with database.opened(settings) as db:
        found = list(work.tables(db))
        yield from found
        if any(one.severity for one in found):
            return
        yield from _of_rows(db, settings, right_keys=right_keys)


def _of_rows(db: Database, settings: Settings, *, right_keys: bool) -> Findings:
    engine = db.read_now(work.runs)
    looks: dict[str, Callable[[Tx], Findings]] = {
        "clock": work.clock,
        "processes": work.processes,
        "operations": partial(work.queue, settings=settings),
        "pools": partial(places.pools, settings=settings, engine=engine),
        "backends": partial(places.backends, settings=settings, engine=engine),
        "quotas": partial(places.fullness, settings=settings),
        "reconciliation": partial(work.reconciliation, settings=settings),
        "housekeeping": partial(work.housekeeping, settings=settings),
    }
    if right_keys:  # else they would be made
        looks["sealed"] = partial(places.sealed, settings=settings)
    for about, look in looks.items():
        yield from looked(about, lambda look=look: iter(db.read_now(lambda tx: list(look(tx)))))  # type: ignore[misc]
