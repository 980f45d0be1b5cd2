"""`cyclades`: the program."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cyclades import __version__
from cyclades.config import Settings, SettingsError, load

app = typer.Typer(
    help="Cyclades: OpenStack's volumes and servers, self-hosted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(db_app, name="db")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="TOML file with the settings; each is also read from CYCLADES_<SECTION>_<NAME>."
    ),
]


def _settings(config: Path | None, **given: Any) -> Settings:
    try:
        return load(config, os.environ, **given)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Directory for database, disks, keys and servers.")] = Path(
        "~/.local/share/cyclades"
    ),
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

    settings = _settings(
        config,
        data=str(data.expanduser().absolute()),
        api__host=host,
        api__port=port,
        api__public_url=public_url,
        api__tls_cert=str(tls_cert) if tls_cert else None,
        api__tls_key=str(tls_key) if tls_key else None,
        api__insecure=insecure or None,
    )
    _run(lambda: serve.up(settings))


@app.command()
def api(config: ConfigFile = None) -> None:
    """Run the APIs alone, on PostgreSQL; any number of these may run."""
    from cyclades.cli import serve

    settings = _settings(config)
    _run(lambda: serve.api(settings))


@app.command()
def engine(config: ConfigFile = None) -> None:
    """Run an engine alone, on PostgreSQL; any number of these may run."""
    from cyclades.cli import serve

    settings = _settings(config)
    _run(lambda: serve.engine(settings))


@db_app.command()
def upgrade(config: ConfigFile = None) -> None:
    """Bring the database to what this version needs. Run it before a new version's first `api` or `engine`."""
    from cyclades.store import migrate
    from cyclades.store.database import Database

    settings = _settings(config)
    db = Database(settings.database_url)
    try:
        before = migrate.revision_of(db.engine)
        migrate.upgrade(db.engine)
        typer.echo(f"Database is at {migrate.newest()} (was {before or 'empty'}).")
    finally:
        db.close()


@app.command()
def version() -> None:
    """Say which version this is."""
    typer.echo(__version__)


def _run(start: Callable[[], None]) -> None:
    from cyclades.cli.serve import Refused

    try:
        start()
    except Refused as error:
        typer.echo(f"cyclades: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
