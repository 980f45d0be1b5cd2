"""`cyclades volume-create`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli import volumes
from cyclades.cli.beside import carry_out, cloud, find_project, operator
from cyclades.cli.options import ConfigFile, Data, Output, Wait, settings_from
from cyclades.cli.output import Format, show
from cyclades.cli.refused import refusals_told
from cyclades.config import Settings
from cyclades.model.names import check_name
from cyclades.operations import volume_create as operation
from cyclades.operations.new_volume import Wanted
from cyclades.store import volumes as rows
from cyclades.store.database import Tx


def volume_create(
    size: Annotated[int, typer.Option("--size", "-s", help="GiB.")],
    name: Annotated[str | None, typer.Option(help="At most 255 characters.")] = None,
    project: Annotated[str, typer.Option(help="Whose volume it is: the project's name or id.")] = "admin",
    volume_type: Annotated[
        str | None, typer.Option("--type", help="The volume type's name or id. [default: the default type]")
    ] = None,
    wait: Wait = False,
    output: Output = Format.TABLE,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Create an empty volume, and show it."""
    wanted = Wanted(size=size, name=name, type=volume_type)
    with refusals_told():
        check_name(name)
        settings = settings_from(config, data)
        with cloud(settings) as db:
            volume_id, op_id = db.write_now(lambda tx: _accept(tx, settings, project, wanted))
            code = carry_out(db, settings, {op_id: f"Volume {volume_id}"}, wait=wait)
            show(db.read_now(lambda tx: volumes.fields(tx, [volume_id]))[0], output)
    raise typer.Exit(code)


def _accept(tx: Tx, settings: Settings, project: str, wanted: Wanted) -> tuple[str, str]:
    """The ids of the volume and of its operation."""
    caller = operator(find_project(tx, project).id)
    volume_id = operation.start(tx, caller, settings, wanted)
    return volume_id, rows.get(tx, volume_id, None).operation_id
