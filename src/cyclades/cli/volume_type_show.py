"""`cyclades volume-type-show`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.volume_types import VOLUME_TYPE
from cyclades.store import volume_types


@command(VOLUME_TYPE)
def volume_type_show(
    cloud: Cloud, volume_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type's name or id.")]
) -> None:
    """Show a volume type."""
    cloud.show(cloud.find([cloud.db.read_now(lambda tx: volume_types.find(tx, volume_type, None).id)])[0])
