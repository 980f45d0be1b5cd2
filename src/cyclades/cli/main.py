"""`cyclades`: the program."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from cyclades import __version__
from cyclades.cli.backend_add import backend_add
from cyclades.cli.backend_list import backend_list
from cyclades.cli.backend_modify import backend_modify
from cyclades.cli.backend_remove import backend_remove
from cyclades.cli.backend_show import backend_show
from cyclades.cli.key_rotate import key_rotate
from cyclades.cli.node_files import node_files
from cyclades.cli.options import ConfigFile, Data, settings_from
from cyclades.cli.refused import refusals_told
from cyclades.cli.volume_create import volume_create
from cyclades.cli.volume_remove import volume_remove

app = typer.Typer(
    help="Cyclades: OpenStack's volumes and servers, self-hosted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(db_app, name="db")
_PANELS = {
    "Running a cloud": (key_rotate,),
    "Volumes": (volume_create, volume_remove),
    "Backends": (backend_add, backend_list, backend_show, backend_modify, backend_remove, node_files),
}
_OTHER_NAMES = {"backend-info": backend_show}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
for other_name, command in _OTHER_NAMES.items():
    app.command(other_name, hidden=True)(command)


@app.command()
def up(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [default: 8774]")] = None,
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


@app.command()
def api(config: ConfigFile = None) -> None:
    """Run the APIs alone, on PostgreSQL; any number of these may run."""
    from cyclades.cli import serve

    settings = settings_from(config)
    with refusals_told():
        serve.api(settings)


@app.command()
def engine(config: ConfigFile = None) -> None:
    """Run an engine alone, on PostgreSQL; any number of these may run."""
    from cyclades.cli import serve

    settings = settings_from(config)
    with refusals_told():
        serve.engine(settings)


@db_app.command()
def upgrade(data: Data = None, config: ConfigFile = None) -> None:
    """Bring the database to what this version needs. Run it before a new version's first `api` or `engine`.

    A SQLite file is copied first; `cyclades up` does the same by itself.
    """
    from cyclades.cli import database
    from cyclades.cli.directory import alone_in
    from cyclades.store import migrate

    settings = settings_from(config, data)
    with refusals_told(), contextlib.ExitStack() as held:
        if database.is_sqlite(settings):
            held.enter_context(alone_in(settings.data))
        before, copy = database.upgrade(held.enter_context(database.opened(settings, make=True)))
    if copy is not None:
        typer.echo(f"The database as it was before is in {copy}.")
    typer.echo(f"Database is at {migrate.newest()} (was {before or 'empty'}).")


@app.command()
def version() -> None:
    """Say which version this is."""
    typer.echo(__version__)


if __name__ == "__main__":
    app()
