"""`cyclades volume-remove`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.volumes import VOLUME
from cyclades.operations import volume_delete as operation
from cyclades.store import volumes as rows
from cyclades.store.database import Tx


@command(VOLUME, asks=True, waits=True)
def volume_remove(
    cloud: Cloud,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The volumes.", show_default=False)],
) -> int:
    """Delete volumes with what is in them: all of these, or none if one of them cannot be."""
    ids = list(dict.fromkeys(ids))
    cloud.db.read_now(lambda tx: [rows.get(tx, one, None) for one in ids])
    cloud.confirm("Delete what is listed here?", cloud.find(ids))

    def accept(tx: Tx) -> list[str]:
        for one in ids:
            operation.start(tx, cloud.caller(rows.get(tx, one, None).project_id), one)
        return ids

    return cloud.change(accept, many=True)
