"""`cyclades flavor-access-add`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli import flavors
from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.store import flavors as rows
from cyclades.store.database import Tx


@command(flavors.FLAVOR, changes=True)
def flavor_access_add(
    cloud: Cloud,
    flavor: Annotated[str, typer.Argument(metavar="FLAVOR", help="The flavor's id or name.")],
    project: Annotated[str, typer.Argument(help="The project's name or id.")],
) -> int:
    """Let a project use a flavor that is not public."""

    def give(tx: Tx) -> list[str]:
        row = flavors.find(tx, flavor)
        rows.give_access(tx, row.id, find_project(tx, project).id)
        return [row.id]

    return cloud.change(give)
