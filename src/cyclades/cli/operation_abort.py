"""`cyclades operation-abort`"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import Row

from cyclades.cli import operations
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.model.errors import WrongState
from cyclades.operations.base import registry
from cyclades.store import operations as rows
from cyclades.store.database import Tx


@command(operations.OPERATION, asks=True, waits=True)
def operation_abort(
    cloud: Cloud, operation: Annotated[str, typer.Argument(metavar="ID", help="One that has not ended.")]
) -> int:
    """Undo an operation once its present step has ended; it fails then. Its resource says so, as after any failure."""
    cloud.db.read_now(lambda tx: _require_open(operations.get(tx, operation)))
    cloud.confirm("Undo this operation?", cloud.find([operation]))

    def abort(tx: Tx) -> list[str]:
        _require_open(operations.get(tx, operation))
        rows.cancel(tx, operation)
        rows.hurry(tx, operation)
        return [operation]

    code = cloud.change(abort, about=operation)
    ended = cloud.db.read_now(lambda tx: operations.get(tx, operation))
    return 0 if cloud.wait and ended.state == "failed" else code  # which is what was wanted


def _require_open(row: Row[Any]) -> None:
    if row.ended_at is not None:
        raise WrongState("operation-ended", f"Operation {row.id} has ended: it is {row.state}.", resource="operation")
    known = registry().get(row.kind)
    if row.direction == "forward" and known is not None and not known.can_undo(row.step):
        text = f"Operation {row.id} is past its point of no return: it is tried until it is done."
        raise WrongState("operation-final", text, resource="operation")
