"""`cyclades operation-retry`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli import operations
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.model.errors import WrongState
from cyclades.store import operations as rows
from cyclades.store.database import Tx


@command(operations.OPERATION, changes=True, waits=True)
def operation_retry(
    cloud: Cloud, operation: Annotated[str, typer.Argument(metavar="ID", help="One that waits.")]
) -> int:
    """Let an operation that waits be tried now. What it waits for may be there again; if not, it goes on waiting."""

    def hurry(tx: Tx) -> list[str]:
        row = operations.get(tx, operation)
        if row.ended_at is not None:
            text = f"Operation {operation} has {row.state}: what it was for has to be asked for anew."
            raise WrongState("operation-ended", text, resource="operation")
        rows.hurry(tx, operation)
        return [operation]

    return cloud.change(hurry, about=operation)
