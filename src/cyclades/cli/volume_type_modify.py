"""`cyclades volume-type-modify`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.options import Description, changed, require_some
from cyclades.cli.volume_types import VOLUME_TYPE, require_specs
from cyclades.model.errors import WrongState
from cyclades.model.names import check_name
from cyclades.store import volume_types
from cyclades.store.database import Tx


@command(VOLUME_TYPE, changes=True)
def volume_type_modify(
    cloud: Cloud,
    volume_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type's name or id.")],
    name: Annotated[str | None, typer.Option(help="What users choose it by.")] = None,
    description: Description = None,
    public: Annotated[bool | None, typer.Option("--public/--private", help="Who may use it.")] = None,
    add_spec: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Extra spec, new or changed; repeatable.")
    ] = None,
    remove_spec: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Take it away; repeatable.")] = None,
    add_project: Annotated[list[str] | None, typer.Option(help="Give it access to a private type.")] = None,
    remove_project: Annotated[list[str] | None, typer.Option(help="Take access from it; its volumes stay.")] = None,
) -> int:
    """Change a volume type: all that is said, or nothing. Extra specs stay as they are while volumes have the type."""
    require_some(name, description, public, add_spec, remove_spec, add_project, remove_project)
    check_name(name)

    def change(tx: Tx) -> list[str]:
        row = volume_types.find(tx, volume_type, None)
        values: dict[str, Any] = {"name": name, "description": description, "is_public": public}
        values = {column: value for column, value in values.items() if value is not None}
        if add_spec or remove_spec:
            if volume_types.is_used(tx, row.id):
                raise WrongState("type-in-use", "Volume Type is currently in use.", resource="volume-type")
            values["extra_specs"] = changed(row.extra_specs, add_spec, remove_spec, "--remove-spec")
            require_specs(values["extra_specs"], cloud.settings)
        if values:
            volume_types.change(tx, row.id, **values)
        row = volume_types.get(tx, row.id, None)
        for one in add_project or ():
            volume_types.give_access(tx, row, find_project(tx, one).id)
        for one in remove_project or ():
            volume_types.take_access(tx, row, find_project(tx, one).id)
        return [row.id]

    return cloud.change(change)
