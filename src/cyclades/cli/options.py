"""What the commands' options have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from cyclades.cli.output import Format
from cyclades.config import Settings, SettingsError, load

_EVERYWHERE = "Options of every command"

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="TOML file with the settings; each is also read from CYCLADES_<SECTION>_<NAME>.",
        rich_help_panel=_EVERYWHERE,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Directory for database, disks, keys and servers. [default: ~/.local/share/cyclades]",
        rich_help_panel=_EVERYWHERE,
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print it.", rich_help_panel=_EVERYWHERE)]
OnlyFields = Annotated[
    str | None,
    typer.Option("--fields", metavar="A,B", help="Print only these, in this order.", rich_help_panel=_EVERYWHERE),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Check all rules and show what it would be, and change nothing.")
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Return when it is done, not when it is accepted.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]

# What several commands are told about.
Deleted = Annotated[bool, typer.Option("--deleted", help="Also those that are deleted.")]
OfProject = Annotated[str | None, typer.Option("--project", help="Only of this project (name or id).")]
ForProject = Annotated[str, typer.Option("--project", help="Whose it is: the project's name or id.")]


def settings_from(config: Path | None, data: Path | None = None, **given: Any) -> Settings:
    """The settings of a command, `given` (`section__name=value`) from its own options."""
    if data is not None:
        given["data"] = str(data.expanduser().absolute())
    try:
        return load(config, os.environ, **given)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error


def pairs(words: list[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` words."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{word!r} is not NAME=VALUE.", param_hint=option)
        found[name] = value
    return found
