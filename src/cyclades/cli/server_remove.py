"""`cyclades server-remove`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.servers import SERVER
from cyclades.operations import server_delete as operation
from cyclades.store import servers
from cyclades.store.database import Tx


@command(SERVER, asks=True, waits=True)
def server_remove(
    cloud: Cloud,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The servers.", show_default=False)],
) -> int:
    """Delete servers, whatever state they are in, with those of their volumes that end with them (`server-show`)."""
    ids = list(dict.fromkeys(ids))
    cloud.db.read_now(lambda tx: [servers.get(tx, one, None) for one in ids])
    cloud.confirm("Delete what is listed here?", cloud.find(ids), (*SERVER.columns, "volumes"))

    def accept(tx: Tx) -> list[str]:
        for one in ids:
            operation.start(tx, cloud.caller(servers.get(tx, one, None).project_id), one)
        return ids

    return cloud.change(accept, many=True)
