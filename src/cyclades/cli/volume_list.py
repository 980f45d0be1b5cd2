"""`cyclades volume-list`"""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.filters import conditions
from cyclades.cli.options import Deleted, OfName, OfProject, OfStatus, OfUser
from cyclades.cli.resource import Where
from cyclades.cli.volumes import VOLUME
from cyclades.store import volume_types
from cyclades.store.database import Tx
from cyclades.store.schema import attachment, volume


@command(VOLUME)
def volume_list(
    cloud: Cloud,
    project: OfProject = None,
    user: OfUser = None,
    status: OfStatus = None,
    name: OfName = None,
    server: Annotated[str | None, typer.Option(help="Only those of this server (id).")] = None,
    volume_type: Annotated[str | None, typer.Option("--type", help="Only of this type (name or id).")] = None,
    pool: Annotated[str | None, typer.Option(help="Only in this pool.")] = None,
    deleted: Deleted = False,
) -> None:
    """List volumes, the oldest first. Sizes are GiB."""

    def where(tx: Tx) -> Where:
        type_id = None if volume_type is None else volume_types.find(tx, volume_type, None).id
        same = {"volume_type_id": type_id, "pool": pool}
        found = conditions(tx, volume, project=project, user=user, status=status, name=name, deleted=deleted, **same)
        if server is not None:
            held = sa.select(attachment.c.volume_id)
            held = held.where(attachment.c.server_id == server, attachment.c.deleted_at.is_(None))
            found.append(volume.c.id.in_(held))
        return found

    cloud.show_list(where)
