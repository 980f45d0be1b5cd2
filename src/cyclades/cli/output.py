"""What commands print: tables for people, JSON for scripts. Standard output has nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Fields = Mapping[str, Any]  # names and JSON values


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


def show(item: Fields, form: Format) -> None:
    """One thing."""
    if form is Format.JSON:
        typer.echo(json.dumps(item, indent=2))
        return
    table = Table(box=SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in item.items():
        table.add_row(name, _text(value))
    _console().print(table)


def show_list(items: Sequence[Fields], form: Format, *, err: bool = False) -> None:
    """Things with the same fields, at least one; `err`: on standard error."""
    if form is Format.JSON:
        typer.echo(json.dumps(items, indent=2), err=err)
        return
    table = Table(*items[0], box=SIMPLE_HEAD)
    for item in items:
        table.add_row(*map(_text, item.values()))
    _console(err=err).print(table)


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _console(*, err: bool = False) -> Console:
    terminal = (sys.stderr if err else sys.stdout).isatty()
    # What goes into a file or a pipe is not broken to a terminal's width.
    return Console(stderr=err, highlight=False, markup=False, width=None if terminal else 10_000)
