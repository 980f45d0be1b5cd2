"""How an operator's command works on a cloud: on its database, beside the processes that serve it.

The same rules, transactions and operations as the API's. What it accepts an engine carries out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import typer
from sqlalchemy import Row
from sqlalchemy.exc import OperationalError

from cyclades.cli import database, waiting
from cyclades.cli.refused import FAILED, UNFINISHED, Refused
from cyclades.config import Settings
from cyclades.engine import wake
from cyclades.model.caller import Caller
from cyclades.model.errors import NotFound
from cyclades.model.roles import ADMIN
from cyclades.operations.base import new_id
from cyclades.store import domains, projects
from cyclades.store.database import Database, Tx

# Whose the things are that operators make. Nobody logs in as this user.
OPERATOR = uuid5(NAMESPACE_DNS, "operator.cyclades").hex


@contextmanager
def cloud(settings: Settings) -> Iterator[Database]:
    """The database of a cloud that is there."""
    try:
        with database.opened(settings) as db:
            database.require_current(db)
            yield db
    except OperationalError as error:
        raise Refused(f"The database cannot be used: {error.orig}") from error


def operator(project_id: str) -> Caller:
    """The caller of one command."""
    return Caller(OPERATOR, project_id, frozenset({ADMIN}), f"req-{new_id()}")


def find_project(tx: Tx, name_or_id: str) -> Row[Any]:
    """By id, or by name in the domain Default."""
    try:
        return projects.get(tx, name_or_id)
    except NotFound:
        return projects.by_name(tx, name_or_id, domains.DEFAULT)


def carry_out(db: Database, settings: Settings, accepted: Mapping[str, str], *, wait: bool) -> int:
    """See to what was accepted (a title for each operation's id) being done; returns the command's exit code."""
    # On PostgreSQL the commit itself has woken the engines.
    if db.is_sqlite and not wake.tell(settings.data, "operations"):
        typer.echo(f"No engine runs on {settings.data}: it is done when `cyclades up` runs there again.", err=True)
        return UNFINISHED if wait else 0
    if not wait:
        return 0
    try:
        ended = waiting.until_ended(db, accepted)
    except KeyboardInterrupt:
        typer.echo("Not waited for any longer; it goes on all the same.", err=True)
        return UNFINISHED
    failed = [row for row in ended if row.state == "failed"]
    for row in failed:
        typer.echo(f"{accepted[row.id]} failed: {row.reason}", err=True)
    return FAILED if failed else 0
