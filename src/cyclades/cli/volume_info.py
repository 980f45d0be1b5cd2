"""`cyclades volume-info`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.volumes import VOLUME


@command(VOLUME)
def volume_info(
    cloud: Cloud, volume: Annotated[str, typer.Argument(metavar="ID", help="The volume, deleted or not.")]
) -> None:
    """Show a volume. `size` is GiB."""
    cloud.show_one("volume", volume)
