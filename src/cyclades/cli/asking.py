"""Asking before something is changed that cannot be changed back."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from cyclades.cli.output import Fields, Format, show_list


def confirm(question: str, items: Sequence[Fields], *, yes: bool) -> None:
    """Show what it is about and ask, unless `yes` was said beforehand. Ends the command if the answer is no."""
    if not yes:
        show_list(items, Format.TABLE, err=True)
        typer.confirm(question, abort=True, err=True)
