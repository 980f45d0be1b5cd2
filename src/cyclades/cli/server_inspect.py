"""`cyclades server-inspect`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli import inspecting
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command


@command(inspecting.INSPECTION)
def server_inspect(cloud: Cloud, server: Annotated[str, typer.Argument(metavar="ID", help="The server.")]) -> int:
    """Show a server and its volumes as the database, the backend and the pools have them; exit code 4 if they differ.

    Run it where the pools are, as `cyclades up` or `engine` does.
    """
    return inspecting.one_server(cloud, server)
