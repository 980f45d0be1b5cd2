"""`cyclades volume-inspect`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli import inspecting
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command


@command(inspecting.INSPECTION)
def volume_inspect(cloud: Cloud, volume: Annotated[str, typer.Argument(metavar="ID", help="The volume.")]) -> int:
    """Show a volume as the database, its server's backend and its pool have it; exit code 4 if they differ.

    Run it where the pools are, as `cyclades up` or `engine` does.
    """
    return inspecting.volume(cloud, volume)
