"""How a command ends that does not do what it was asked for. Exit code 2 is for wrong usage, as Typer has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from cyclades.model.errors import Fault, Refusal

FAILED = 1  # refused, and nothing was changed; or it was tried, and failed
UNFINISHED = 3  # accepted and on its way, but not waited for to the end
DIFFERS = 4  # it was looked at, and is not as it should be


class Refused(Exception):
    """It cannot be done, and nothing was changed; the message says why, and what to do."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """Inside, what is refused ends the command with the reason on standard error."""
    try:
        yield
    except (Refused, Refusal, Fault) as refusal:
        typer.echo(f"cyclades: {refusal}", err=True)
    except UnicodeEncodeError:
        typer.echo("cyclades: An argument is not text in UTF-8.", err=True)
    else:
        return
    raise typer.Exit(FAILED)
