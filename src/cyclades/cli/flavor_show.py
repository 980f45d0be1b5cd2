"""`cyclades flavor-show`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli import flavors
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command


@command(flavors.FLAVOR)
def flavor_show(
    cloud: Cloud, flavor: Annotated[str, typer.Argument(metavar="FLAVOR", help="The flavor's id or name.")]
) -> None:
    """Show a flavor. `ram` is MiB, `disk` is GiB."""
    cloud.show(cloud.find([cloud.db.read_now(lambda tx: flavors.find(tx, flavor).id)])[0])
