"""`cyclades snapshot-remove`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.snapshots import SNAPSHOT
from cyclades.operations import snapshot_delete as operation
from cyclades.store import snapshots
from cyclades.store.database import Tx


@command(SNAPSHOT, asks=True, waits=True)
def snapshot_remove(
    cloud: Cloud,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The snapshots.", show_default=False)],
) -> int:
    """Delete snapshots: all of these, or none if one of them cannot be. Volumes made from them stay."""
    ids = list(dict.fromkeys(ids))
    cloud.db.read_now(lambda tx: [snapshots.get(tx, one, None) for one in ids])
    cloud.confirm("Delete what is listed here?", cloud.find(ids))

    def accept(tx: Tx) -> list[str]:
        for one in ids:
            operation.start(tx, cloud.caller(snapshots.get(tx, one, None).project_id), one)
        return ids

    return cloud.change(accept, many=True)
