"""`cyclades flavor-modify`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cyclades.cli import flavors
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.options import Description, changed, require_some
from cyclades.store import flavors as rows
from cyclades.store.database import Tx


@command(flavors.FLAVOR, changes=True)
def flavor_modify(
    cloud: Cloud,
    flavor: Annotated[str, typer.Argument(metavar="FLAVOR", help="The flavor's id or name.")],
    description: Description = None,
    public: Annotated[bool | None, typer.Option("--public/--private", help="Who may use it.")] = None,
    add_spec: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Extra spec, new or changed; repeatable.")
    ] = None,
    remove_spec: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Take it away; repeatable.")] = None,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="No new servers of it; those that there are keep what it was.")
    ] = False,
) -> int:
    """Change a flavor: all that is said, or nothing. What servers get of it stays as it is."""
    require_some(description, public, add_spec, remove_spec, deleted or None)

    def change(tx: Tx) -> list[str]:
        row = flavors.find(tx, flavor)
        values: dict[str, Any] = {"description": description, "is_public": public}
        values = {column: value for column, value in values.items() if value is not None}
        if add_spec or remove_spec:
            values["extra_specs"] = changed(row.extra_specs, add_spec, remove_spec, "--remove-spec")
        if values:
            rows.change(tx, row.id, **values)
        if deleted:
            rows.remove(tx, row.id)
        return [row.id]

    return cloud.change(change)
