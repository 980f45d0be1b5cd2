"""`cyclades volume-create`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.options import ForProject
from cyclades.cli.volumes import VOLUME
from cyclades.model.names import check_name
from cyclades.operations import volume_create as operation
from cyclades.operations.new_volume import Wanted
from cyclades.store.database import Tx


@command(VOLUME, changes=True, waits=True)
def volume_create(
    cloud: Cloud,
    size: Annotated[int, typer.Option("--size", "-s", help="GiB.")],
    name: Annotated[str | None, typer.Option(help="At most 255 characters.")] = None,
    project: ForProject = "admin",
    volume_type: Annotated[
        str | None, typer.Option("--type", help="The volume type's name or id. [default: the default type]")
    ] = None,
) -> int:
    """Create an empty volume, and show it."""
    check_name(name)
    wanted = Wanted(size=size, name=name, type=volume_type)

    def accept(tx: Tx) -> list[str]:
        caller = cloud.caller(find_project(tx, project).id)
        return [operation.start(tx, caller, cloud.settings, wanted)]

    return cloud.change(accept)
