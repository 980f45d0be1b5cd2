"""`cyclades snapshot-list`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.filters import conditions
from cyclades.cli.options import Deleted, OfName, OfProject, OfStatus, OfUser
from cyclades.cli.snapshots import SNAPSHOT
from cyclades.store.schema import snapshot


@command(SNAPSHOT)
def snapshot_list(
    cloud: Cloud,
    project: OfProject = None,
    user: OfUser = None,
    status: OfStatus = None,
    name: OfName = None,
    volume: Annotated[str | None, typer.Option(help="Only of this volume (id).")] = None,
    deleted: Deleted = False,
) -> None:
    """List snapshots, the oldest first. Sizes are GiB."""
    cloud.show_list(
        lambda tx: conditions(
            tx, snapshot, project=project, user=user, status=status, name=name, deleted=deleted, volume_id=volume
        )
    )
