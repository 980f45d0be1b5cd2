"""How an operator's command works on a cloud: on its database, beside the processes that serve it.

The same rules, transactions and operations as the API's. What it accepts an engine carries out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from uuid import NAMESPACE_DNS, uuid5

import typer
from sqlalchemy import Row
from sqlalchemy.exc import OperationalError

from cyclades.cli import asking, database, output, waiting
from cyclades.cli.output import Fields, Format
from cyclades.cli.refused import FAILED, UNFINISHED, Refused
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.engine import wake
from cyclades.model.caller import Caller
from cyclades.model.errors import NotFound
from cyclades.model.roles import ADMIN
from cyclades.operations.base import new_id
from cyclades.store import domains, operations, projects, services, users
from cyclades.store.database import Database, Tx

T = TypeVar("T")

_ID = re.compile(r"[0-9a-f]{32}")  # of a user

# Whose the things are that operators make. Nobody logs in as this user.
OPERATOR = uuid5(NAMESPACE_DNS, "operator.cyclades").hex


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database of a cloud that is there."""
    try:
        with database.opened(settings) as db:
            database.require_current(db)
            yield db
    except OperationalError as error:
        raise Refused(f"The database cannot be used: {error.orig}") from error


def find_project(tx: Tx, name_or_id: str) -> Row[Any]:
    """By id, or by name in the domain Default."""
    try:
        return projects.get(tx, name_or_id)
    except NotFound:
        return projects.by_name(tx, name_or_id, domains.DEFAULT)


def find_user(tx: Tx, name_or_id: str) -> str:
    """The id of a user, by id or by name in the domain Default. What a deleted user made is found by the id alone."""
    try:
        found: str = users.by_name(tx, name_or_id, domains.DEFAULT).id
    except NotFound:
        if _ID.fullmatch(name_or_id) is None:
            raise
        return name_or_id
    return found


class _Tried(Exception):
    """Ends a transaction that is not to be kept."""

    def __init__(self, found: list[Fields]) -> None:
        self.found = found


class Cloud:
    """What one command works on, how it shows it, and what its user has said about how it is to go about it."""

    def __init__(
        self,
        held: ExitStack,
        settings: Settings,
        resource: Resource,
        *,
        form: Format = Format.TABLE,
        fields: Sequence[str] = (),
        yes: bool = False,
        dry_run: bool = False,
        wait: bool = False,
        config: Path | None = None,
    ) -> None:
        """`held` is what ends with the command. No `fields`: all, or those that a list's table has. `config` is the
        file that the settings were read from."""
        self._held, self.settings, self.resource, self.config = held, settings, resource, config
        self.form, self.fields = form, fields
        self.yes, self.dry_run, self.wait = yes, dry_run, wait
        self._request_id = f"req-{new_id()}"

    @cached_property
    def db(self) -> Database:
        """Not opened before it is needed: wrong usage is told first."""
        return self._held.enter_context(opened(self.settings))

    def caller(self, project_id: str) -> Caller:
        """Who asks, for something of this project."""
        return Caller(OPERATOR, project_id, frozenset({ADMIN}), self._request_id)

    # --- showing ----------------------------------------------------------------------------------

    def find(self, keys: Sequence[str]) -> list[Fields]:
        return self.db.read_now(lambda tx: self.resource.of(tx, self.settings, keys))

    def show(self, item: Fields) -> None:
        output.show(item, self.form, self.fields or self.resource.fields)

    def show_one(self, kind: str, key: str) -> None:
        """`NotFound` if there is none."""
        items = self.find([key])
        if not items:
            raise NotFound(kind, key)
        self.show(items[0])

    def show_items(self, items: Sequence[Fields]) -> None:
        of_list = self.resource.columns if self.form is Format.TABLE else self.resource.fields
        output.show_list(items, self.form, self.fields or of_list)

    def show_list(self, where: Callable[[Tx], Where]) -> None:
        """All for which these conditions hold."""
        self.show_items(self.db.read_now(lambda tx: self.resource.read(tx, self.settings, where(tx))))

    # --- changing ---------------------------------------------------------------------------------

    def confirm(self, question: str, items: Sequence[Fields], fields: Sequence[str] = ()) -> None:
        """Ask, unless told not to, or nothing will be changed."""
        if not self.yes and not self.dry_run:
            asking.confirm(question, items, fields or self.resource.columns)

    def change(self, do: Callable[[Tx], Sequence[str]], *, many: bool = False, about: str | None = None) -> int:
        """Make a change in one transaction, see to what it has set going, and show what it is about: `do` returns
        the keys. What is gone with it is not shown. Waits for the operations that it accepted, or for the one that it
        is `about`. Returns the command's exit code."""
        if self.dry_run:
            self._show(self._try(do), many=many)
            typer.echo("Nothing was changed: so it would be.", err=True)
            return 0
        keys, accepted, signals = self.db.write_now(lambda tx: self._accept(tx, do))
        if about is not None:
            accepted = {about: f"Operation {about}"}
        code = self._carry_out(accepted, signals)
        self._show(self.find(keys), many=many)
        return code

    def _show(self, items: list[Fields], *, many: bool) -> None:
        if many:
            self.show_items(items)
        elif items:
            self.show(items[0])

    def _try(self, do: Callable[[Tx], Sequence[str]]) -> list[Fields]:
        def change(tx: Tx) -> None:
            raise _Tried(self.resource.of(tx, self.settings, tx.run(do)))

        try:
            self.db.write_now(change)
        except _Tried as tried:
            return tried.found
        raise AssertionError("unreachable")

    def _accept(self, tx: Tx, do: Callable[[Tx], Sequence[str]]) -> tuple[Sequence[str], dict[str, str], set[str]]:
        """The keys, the title of each operation that was accepted by its id, and the signals for other processes."""
        keys = do(tx)
        accepted = {
            row.id: f"{row.resource_kind.capitalize()} {row.resource_id}"
            for row in operations.open_ones(tx, request_id=self._request_id)
        }
        return keys, accepted, set(tx.signals)

    def _carry_out(self, accepted: Mapping[str, str], signals: set[str]) -> int:
        # On PostgreSQL the commit itself has woken the engines.
        heard = not self.db.is_sqlite or all(wake.tell(self.settings.data, name) for name in signals)
        if accepted and not heard:
            where = self.settings.data
            typer.echo(f"No engine runs on {where}: it is done when `cyclades up` runs there again.", err=True)
            return UNFINISHED if self.wait else 0
        if accepted and self.wait:
            return self.wait_for(accepted)
        if accepted and not self.db.is_sqlite and not self.db.read_now(lambda tx: services.is_there(tx, "engine")):
            typer.echo("No engine runs: it is done when `cyclades engine` runs again.", err=True)
        return 0

    def wait_for(self, accepted: Mapping[str, str]) -> int:
        """Until these operations (a title for each by its id) have ended; returns the command's exit code."""
        try:
            ended = waiting.until_ended(self.db, accepted)
        except KeyboardInterrupt:
            typer.echo("Not waited for any longer; it goes on all the same.", err=True)
            return UNFINISHED
        except waiting.NoEngine as alone:
            typer.echo(str(alone), err=True)
            return UNFINISHED
        failed = [row for row in ended if row.state == "failed"]
        for row in failed:
            typer.echo(f"{accepted[row.id]} failed: {row.reason}", err=True)
        return FAILED if failed else 0
