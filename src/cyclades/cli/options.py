"""What the commands' options have in common."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
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
        help="Directory for database, disks, keys and servers. Default: ~/.local/share/cyclades.",
        rich_help_panel=_EVERYWHERE,
    ),
]
Output = Annotated[
    Format,
    typer.Option(
        "--output", "-o", help="What to print: a table for people, or a form for programs.", rich_help_panel=_EVERYWHERE
    ),
]
OnlyFields = Annotated[
    str | None,
    typer.Option("--fields", metavar="A,B", help="Print only these, in this order.", rich_help_panel=_EVERYWHERE),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Check all rules and show what it would be, and change nothing.")
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Return when it is done, not when it is accepted.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]

# What several commands are told.
Deleted = Annotated[bool, typer.Option("--deleted", help="Also those that are deleted.")]
OfProject = Annotated[str | None, typer.Option("--project", "-p", help="Only of this project (name or id).")]
OfUser = Annotated[str | None, typer.Option("--user", "-u", help="Only what this user made (name or id).")]
OfStatus = Annotated[list[str] | None, typer.Option("--status", help="Only in this status; repeatable.")]
OfName = Annotated[str | None, typer.Option("--name", help="Only those whose name has this in it.")]
ForProject = Annotated[str, typer.Option("--project", "-p", help="Whose it is: the project's name or id.")]
Name = Annotated[str | None, typer.Option("--name", help="At most 255 characters.")]
Description = Annotated[str | None, typer.Option("--description", help="What it is for.")]
Metadata = Annotated[list[str] | None, typer.Option("--meta", metavar="NAME=VALUE", help="Metadata; repeatable.")]
NoMetadata = Annotated[list[str] | None, typer.Option("--no-meta", metavar="NAME", help="Take it away; repeatable.")]


def flowing(command: Callable[..., Any]) -> str:
    """What a command's help says, with no line breaks inside paragraphs: they are the terminal's to make. What is
    indented stays as it is."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(one if one.startswith(" ") else " ".join(one.split()) for one in paragraphs)


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


def changed(before: Mapping[str, str], added: list[str] | None, gone: list[str] | None, option: str) -> dict[str, str]:
    """What `NAME=VALUE` words and names of what is to go make of it; wrong usage if such a one is not there."""
    for name in gone or ():
        if name not in before:
            raise typer.BadParameter(f"There is no {name!r}.", param_hint=option)
    kept = {name: value for name, value in before.items() if name not in (gone or ())}
    return kept | pairs(added or [], option)


def require_some(*given: Any) -> None:
    """Wrong usage, if nothing is said that is to change."""
    if all(one is None for one in given):
        raise typer.BadParameter("Say what is to change.")
