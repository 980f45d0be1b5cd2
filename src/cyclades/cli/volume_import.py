"""`cyclades volume-import`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.options import Description, ForProject, Metadata, Name, pairs
from cyclades.cli.volumes import VOLUME
from cyclades.model.errors import NotFound
from cyclades.model.names import check_name
from cyclades.operations import volume_manage as operation
from cyclades.operations.new_volume import check_metadata
from cyclades.store.database import Tx


@command(VOLUME, changes=True, waits=True)
def volume_import(
    cloud: Cloud,
    pool: Annotated[str, typer.Argument(help="The pool that it lies in.")],
    disk: Annotated[str, typer.Argument(help="The disk's present name there.")],
    name: Name = None,
    description: Description = None,
    project: ForProject = "admin",
    volume_type: Annotated[
        str | None, typer.Option("--type", help="A type that keeps its disks in this pool. Default: the default type.")
    ] = None,
    bootable: Annotated[bool, typer.Option("--bootable", help="Servers can boot from it.")] = False,
    meta: Metadata = None,
) -> int:
    """Make a volume of a disk that lies in a pool and is not of Cyclades. It is renamed; its bytes stay as they are."""
    check_name(name)
    if cloud.settings.pool_settings(pool) is None:
        raise NotFound("pool", pool)
    wanted = operation.Wanted(
        pool=pool,
        source=disk,
        name=name,
        description=description,
        type=volume_type,
        metadata=pairs(meta or [], "--meta"),
        bootable=bootable,
    )
    check_metadata(cloud.settings, wanted.metadata)

    def accept(tx: Tx) -> list[str]:
        return [operation.start(tx, cloud.caller(find_project(tx, project).id), cloud.settings, wanted)]

    return cloud.change(accept)
