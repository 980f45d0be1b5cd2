"""`cyclades snapshot-modify`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.options import Description, Metadata, Name, NoMetadata, changed, require_some
from cyclades.cli.snapshots import SNAPSHOT
from cyclades.model.names import check_name
from cyclades.operations.new_volume import check_metadata
from cyclades.store import snapshots
from cyclades.store.database import Tx


@command(SNAPSHOT, changes=True)
def snapshot_modify(
    cloud: Cloud,
    snapshot: Annotated[str, typer.Argument(metavar="ID", help="The snapshot.")],
    name: Name = None,
    description: Description = None,
    meta: Metadata = None,
    no_meta: NoMetadata = None,
) -> int:
    """Change what a snapshot is called, and what is said of it."""
    require_some(name, description, meta, no_meta)
    check_name(name)

    def change(tx: Tx) -> list[str]:
        row = snapshots.hold(tx, snapshot, None)
        values: dict[str, Any] = {"name": name, "description": description}
        values = {column: value for column, value in values.items() if value is not None}
        if meta is not None or no_meta is not None:
            values["metadata"] = changed(row.metadata, meta, no_meta, "--no-meta")
            check_metadata(cloud.settings, values["metadata"])
        snapshots.change(tx, row.id, **values)
        return [row.id]

    return cloud.change(change)
