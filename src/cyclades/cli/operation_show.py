"""`cyclades operation-show`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.operations import OPERATION


@command(OPERATION)
def operation_show(
    cloud: Cloud, operation: Annotated[str, typer.Argument(metavar="ID", help="The operation, ended or not.")]
) -> None:
    """Show an operation: its steps, how often the present one was tried, why it waits and until when."""
    cloud.show_one("operation", operation)
