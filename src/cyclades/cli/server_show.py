"""`cyclades server-show`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.servers import SERVER


@command(SERVER)
def server_show(
    cloud: Cloud, server: Annotated[str, typer.Argument(metavar="ID", help="The server, deleted or not.")]
) -> None:
    """Show a server with its volumes. `ram` is MiB, sizes are GiB."""
    cloud.show_one("server", server)
