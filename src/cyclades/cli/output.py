"""What commands print: tables for people; JSON, YAML and CSV for programs. Standard output has nothing else."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Fields = Mapping[str, Any]  # names and JSON values


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def moment(micros: int | None) -> str | None:
    """A time of the database as commands show it."""
    return None if micros is None else f"{datetime.fromtimestamp(micros // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def show(item: Fields, form: Format, fields: Sequence[str], *, err: bool = False) -> None:
    """One thing: these of its fields; `err`: on standard error."""
    chosen = {name: item[name] for name in fields}
    if form is not Format.TABLE:
        _for_programs(chosen, [chosen], form, fields)
        return
    table = Table(box=SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in chosen.items():
        table.add_row(name, _text(value))
    _console(err=err).print(table)


def show_list(items: Sequence[Fields], form: Format, fields: Sequence[str], *, err: bool = False) -> None:
    """Any number of things; `err`: on standard error."""
    chosen = [{name: item[name] for name in fields} for item in items]
    if form is not Format.TABLE:
        _for_programs(chosen, chosen, form, fields)
        return
    table = Table(*fields, box=SIMPLE_HEAD)
    for item in chosen:
        table.add_row(*map(_text, item.values()))
    _console(err=err).print(table)


def _for_programs(whole: Any, rows: Sequence[Fields], form: Format, fields: Sequence[str]) -> None:
    if form is Format.JSON:
        typer.echo(json.dumps(whole, indent=2))
    elif form is Format.YAML:
        typer.echo(msgspec.yaml.encode(whole), nl=False)
    else:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(fields)
        writer.writerows([_cell(row[name]) for name in fields] for row in rows)


def _cell(value: Any) -> Any:
    """Of CSV: what is made of parts is JSON in it."""
    return json.dumps(value) if isinstance(value, dict | list | bool) else value


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "\n".join(f"{name}={_line(inner)}" for name, inner in value.items()) or "-"
    if isinstance(value, list):
        return "\n".join(map(_line, value)) or "-"
    return str(value)


def _line(value: Any) -> str:
    """What is inside of something else."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={_line(inner)}" for name, inner in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_line, value)) or "-"
    return _text(value)


def _console(*, err: bool = False) -> Console:
    terminal = (sys.stderr if err else sys.stdout).isatty()
    # What goes into a file or a pipe is not broken to a terminal's width.
    return Console(stderr=err, highlight=False, markup=False, width=None if terminal else 10_000)
