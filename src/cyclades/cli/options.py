"""What the commands' options have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from cyclades.cli.output import Format
from cyclades.config import Settings, SettingsError, load

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="TOML file with the settings; each is also read from CYCLADES_<SECTION>_<NAME>."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="Directory for database, disks, keys and servers. [default: ~/.local/share/cyclades]"),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print it.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it is done, not when it is accepted.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]


def settings_from(config: Path | None, data: Path | None = None, **given: Any) -> Settings:
    """The settings of a command, `given` (`section__name=value`) from its own options."""
    if data is not None:
        given["data"] = str(data.expanduser().absolute())
    try:
        return load(config, os.environ, **given)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
