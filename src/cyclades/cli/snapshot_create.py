"""`cyclades snapshot-create`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.options import Description, Metadata, Name, pairs
from cyclades.cli.snapshots import SNAPSHOT
from cyclades.model.names import check_name
from cyclades.operations import snapshot_create as operation
from cyclades.operations.new_volume import check_metadata
from cyclades.store import volumes
from cyclades.store.database import Tx


@command(SNAPSHOT, changes=True, waits=True)
def snapshot_create(
    cloud: Cloud,
    volume: Annotated[str, typer.Argument(metavar="VOLUME", help="The volume (id), attached or not.")],
    name: Name = None,
    description: Description = None,
    meta: Metadata = None,
) -> int:
    """Keep what is in a volume now. The snapshot is of the volume's project."""
    check_name(name)
    metadata = pairs(meta or [], "--meta")
    check_metadata(cloud.settings, metadata)

    def accept(tx: Tx) -> list[str]:
        caller = cloud.caller(volumes.get(tx, volume, None).project_id)
        said = {"name": name, "description": description}
        return [operation.start(tx, caller, cloud.settings, volume, in_use=True, metadata=metadata, **said)]

    return cloud.change(accept)
