"""`cyclades server-list`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.filters import conditions
from cyclades.cli.options import Deleted, OfName, OfProject, OfStatus, OfUser
from cyclades.cli.resource import Where
from cyclades.cli.servers import SERVER
from cyclades.store.database import Tx
from cyclades.store.schema import server


@command(SERVER)
def server_list(
    cloud: Cloud,
    project: OfProject = None,
    user: OfUser = None,
    status: OfStatus = None,
    name: OfName = None,
    backend: Annotated[str | None, typer.Option(help="Only on this backend.")] = None,
    flavor: Annotated[str | None, typer.Option(help="Only of this flavor (id).")] = None,
    image: Annotated[str | None, typer.Option(help="Only those that were booted from this image (id).")] = None,
    suspended: Annotated[bool | None, typer.Option("--suspended/--not-suspended", help="Only such ones.")] = None,
    deleted: Deleted = False,
) -> None:
    """List servers, the oldest first."""

    def where(tx: Tx) -> Where:
        same = {"backend": backend, "flavor_id": flavor, "image_id": image, "locked": suspended}
        return conditions(tx, server, project=project, user=user, status=status, name=name, deleted=deleted, **same)

    cloud.show_list(where)
