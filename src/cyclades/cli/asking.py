"""Asking before something is changed that cannot be changed back."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from cyclades.cli.output import Fields, Format, show_list
from cyclades.cli.refused import FAILED


def confirm(question: str, items: Sequence[Fields], fields: Sequence[str]) -> None:
    """Show these fields of what it is about, and ask. Ends the command if the answer is no."""
    if items:
        show_list(items, Format.TABLE, fields, err=True)
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(FAILED)
