"""`cyclades volume-type-create`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.options import Description, pairs
from cyclades.cli.volume_types import VOLUME_TYPE, require_specs, specs_from
from cyclades.model.names import check_name
from cyclades.operations.base import new_id
from cyclades.store import volume_types
from cyclades.store.database import Tx


@command(VOLUME_TYPE, changes=True)
def volume_type_create(
    cloud: Cloud,
    name: Annotated[str, typer.Argument(help="What users choose it by.")],
    description: Description = None,
    disk_template: Annotated[
        str | None,
        typer.Option(help="How its disks are kept: ext, sharedfile, rbd, gluster, plain, drbd, file. Default: ext."),
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="Of ExtStorage, if it is not our own; it is named in the settings.")
    ] = None,
    pool: Annotated[str | None, typer.Option(help="Where its disks lie. Default: the first pool.")] = None,
    spec: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Extra spec; repeatable.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only for projects that are given access.")] = False,
    project: Annotated[
        list[str] | None, typer.Option(help="One that has access to a private type; repeatable.")
    ] = None,
) -> int:
    """Create a volume type."""
    check_name(name)
    if not name.strip():
        raise typer.BadParameter("It is empty.", param_hint="NAME")
    if project and not private:
        raise typer.BadParameter("A public type is for all: give --private.", param_hint="--project")
    specs = specs_from(disk_template, provider, pool) | pairs(spec or [], "--spec")
    require_specs(specs, cloud.settings)
    type_id = new_id()

    def add(tx: Tx) -> list[str]:
        values = {"name": name.strip(), "description": description, "is_public": not private, "extra_specs": specs}
        volume_types.add(tx, type_id, **values)
        row = volume_types.get(tx, type_id, None)
        for one in dict.fromkeys(project or ()):
            volume_types.give_access(tx, row, find_project(tx, one).id)
        return [type_id]

    return cloud.change(add)
