"""`cyclades flavor-list`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.filters import conditions
from cyclades.cli.flavors import FLAVOR
from cyclades.cli.options import Deleted, OfName
from cyclades.store.schema import flavor


@command(FLAVOR)
def flavor_list(
    cloud: Cloud,
    name: OfName = None,
    public: Annotated[bool | None, typer.Option("--public/--private", help="Only such ones.")] = None,
    deleted: Deleted = False,
) -> None:
    """List flavors, the smallest first. `ram` is MiB, `disk` is GiB."""
    cloud.show_list(lambda tx: conditions(tx, flavor, name=name, deleted=deleted, is_public=public))
