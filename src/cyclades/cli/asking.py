"""Asking before something is changed that cannot be changed back."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from cyclades.cli.output import Fields, Format, show_list
from cyclades.cli.refused import FAILED


def confirm(question: str, items: Sequence[Fields], *, yes: bool) -> None:
    """Show what it is about and ask, unless `yes` was said beforehand. Ends the command if the answer is no."""
    if yes:
        return
    show_list(items, Format.TABLE, err=True)
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(FAILED)
