"""`cyclades volume-attach`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.volumes import VOLUME
from cyclades.operations import volume_attach as operation
from cyclades.store import volumes
from cyclades.store.database import Tx


@command(VOLUME, changes=True, waits=True)
def volume_attach(
    cloud: Cloud,
    volume: Annotated[str, typer.Argument(metavar="ID", help="The volume.")],
    server: Annotated[str, typer.Option(help="The server (id), of the same project.")],
    read_only: Annotated[bool, typer.Option("--read-only", help="The guest cannot write it.")] = False,
    delete_on_termination: Annotated[
        bool, typer.Option("--delete-on-termination", help="The volume ends with the server.")
    ] = False,
) -> int:
    """Attach a volume to a server."""

    def accept(tx: Tx) -> list[str]:
        caller = cloud.caller(volumes.get(tx, volume, None).project_id)
        mode = "ro" if read_only else "rw"
        operation.start(tx, caller, server, volume, delete_on_termination=delete_on_termination, mode=mode)
        return [volume]

    return cloud.change(accept)
