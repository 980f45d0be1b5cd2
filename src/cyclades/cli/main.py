"""`cyclades`: the program."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from cyclades import __version__
from cyclades.cli.options import ConfigFile, Data, flowing, settings_from
from cyclades.cli.refused import refusals_told

_RUNNING = "Running a cloud"
_Command = TypeVar("_Command", bound=Callable[..., None])

app = typer.Typer(
    help="Cyclades: OpenStack's volumes and servers, self-hosted.",
    epilog="Exit codes: 0 done, or accepted without --wait; 1 refused, and nothing was changed, or failed; "
    "2 wrong usage; 3 accepted, and not waited for to the end; 4 looked at, and not as it should be. "
    "Which cloud: --data DIR, where `cyclades up` has it, or --config FILE.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(db_app, name="db", rich_help_panel=_RUNNING)
# Each is a function in the module of its name; another name for it comes after a colon.
_COMMANDS = {
    _RUNNING: "doctor key-rotate reconcile-servers reconcile-volumes reconcile-quotas",
    "Volumes": "volume-list volume-info:volume-show volume-inspect volume-create volume-modify volume-attach "
    "volume-detach volume-import volume-remove",
    "Snapshots": "snapshot-list snapshot-show snapshot-create snapshot-modify snapshot-remove",
    "Volume types": "volume-type-list volume-type-show volume-type-create volume-type-modify",
    "Servers": "server-list server-show server-inspect server-create server-modify server-remove",
    "Flavors": "flavor-list flavor-show flavor-create flavor-modify flavor-access-list flavor-access-add "
    "flavor-access-remove",
    "Quotas": "quota-list quota-show quota-set quota-check",
    "Operations": "operation-list operation-show operation-retry operation-abort",
    "Pools": "pool-list pool-show",
    "Backends": "backend-list backend-show:backend-info backend-add backend-modify backend-remove node-files",
}
_HERE = ("up", "api", "engine", "db", "version")


def _flows(command: _Command) -> _Command:
    command.__doc__ = flowing(command)
    return command


def _load(asked: str | None) -> None:
    """Add the command that is asked for, so that it is there at once; all of them where it is none of these."""
    if asked in _HERE:
        return
    every = [(panel, words.split(":")) for panel, line in _COMMANDS.items() for words in line.split()]
    wanted = [(panel, names) for panel, names in every if asked in names] or every
    for panel, names in wanted:
        function = names[0].replace("-", "_")
        command = getattr(importlib.import_module(f"cyclades.cli.{function}"), function)
        for name in names:
            app.command(name, rich_help_panel=panel, hidden=name != names[0], help=flowing(command))(command)


_load(sys.argv[1] if len(sys.argv) > 1 else None)


@app.command(rich_help_panel=_RUNNING)
@_flows
def up(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: 8774.")] = None,
    public_url: Annotated[str | None, typer.Option(help="What clients are told, if not http(s)://HOST:PORT.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (PEM), with its chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow passwords and tokens in clear on other hosts' networks.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Run a whole cloud in this one process, until stopped.

    APIs, engine, QEMU servers and SQLite, all in one directory. The first start makes the projects admin and demo
    and writes openrc, openrc-demo and clouds.yaml into it. Servers outlive the process: the next `up` finds them
    running.
    """
    from cyclades.cli import serve

    settings = settings_from(
        config,
        data,
        api__host=host,
        api__port=port,
        api__public_url=public_url,
        api__tls_cert=str(tls_cert) if tls_cert else None,
        api__tls_key=str(tls_key) if tls_key else None,
        api__insecure=insecure or None,
    )
    with refusals_told():
        serve.up(settings)


@app.command(rich_help_panel=_RUNNING)
@_flows
def api(config: ConfigFile = None) -> None:
    """Run the APIs alone, on PostgreSQL; any number of these may run."""
    from cyclades.cli import serve

    settings = settings_from(config)
    with refusals_told():
        serve.api(settings)


@app.command(rich_help_panel=_RUNNING)
@_flows
def engine(config: ConfigFile = None) -> None:
    """Run an engine alone, on PostgreSQL; any number of these may run."""
    from cyclades.cli import serve

    settings = settings_from(config)
    with refusals_told():
        serve.engine(settings)


@db_app.command()
@_flows
def upgrade(data: Data = None, config: ConfigFile = None) -> None:
    """Bring the database to what this version needs. Run it before a new version's first `api` or `engine`.

    A SQLite file is copied first; `cyclades up` does the same by itself.
    """
    from cyclades.cli import database
    from cyclades.cli.directory import alone_in
    from cyclades.store import revisions

    settings = settings_from(config, data)
    with refusals_told(), contextlib.ExitStack() as held:
        if database.is_sqlite(settings):
            held.enter_context(alone_in(settings.data))
        before, copy = database.upgrade(held.enter_context(database.opened(settings, make=True)))
    if copy is not None:
        typer.echo(f"The database as it was before is in {copy}.")
    typer.echo(f"Database is at {revisions.newest()} (was {before or 'empty'}).")


@db_app.command()
@_flows
def backup(
    file: Annotated[Path, typer.Argument(help="Where to; it must not be there yet.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Copy the database of a cloud on SQLite into FILE, also while the cloud runs.

    Keys and pools are files beside it: docs/back-up.md says what belongs together. PostgreSQL has pg_dump.
    """
    from cyclades.cli import db_backup

    settings = settings_from(config, data)
    with refusals_told():
        db_backup.backup(settings, file)


@app.command(rich_help_panel=_RUNNING)
def version() -> None:
    """Say which version this is."""
    typer.echo(__version__)


if __name__ == "__main__":
    app()
