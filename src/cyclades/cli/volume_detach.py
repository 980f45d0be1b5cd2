"""`cyclades volume-detach`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.volumes import VOLUME
from cyclades.model.errors import WrongState
from cyclades.operations import volume_detach as operation
from cyclades.operations import volume_force_detach
from cyclades.store import attachments, volumes
from cyclades.store.database import Tx


@command(VOLUME, asks=True, waits=True)
def volume_detach(
    cloud: Cloud,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The volumes.", show_default=False)],
    force: Annotated[
        bool,
        typer.Option("--force", help="Whatever status the volume and the server have; it is looked at all the same."),
    ] = False,
) -> int:
    """Detach volumes from their servers: all of these, or none if one of them cannot be."""
    ids = list(dict.fromkeys(ids))
    cloud.db.read_now(lambda tx: [volumes.get(tx, one, None) for one in ids])
    cloud.confirm("Detach what is listed here?", cloud.find(ids))

    def accept(tx: Tx) -> list[str]:
        for one in ids:
            caller = cloud.caller(volumes.get(tx, one, None).project_id)
            if force:
                volume_force_detach.start(tx, caller, one, None)
            else:
                operation.start(tx, caller, _server(tx, one), one)
        return ids

    return cloud.change(accept, many=True)


def _server(tx: Tx, volume_id: str) -> str:
    plugged = [row.server_id for row in attachments.of_volume(tx, volume_id) if row.server_id is not None]
    if not plugged:
        raise WrongState("volume-not-attached", f"Volume {volume_id} has no server.", resource="volume")
    return str(plugged[0])
