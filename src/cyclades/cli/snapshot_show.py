"""`cyclades snapshot-show`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.snapshots import SNAPSHOT


@command(SNAPSHOT)
def snapshot_show(
    cloud: Cloud, snapshot: Annotated[str, typer.Argument(metavar="ID", help="The snapshot, deleted or not.")]
) -> None:
    """Show a snapshot. `size` is GiB."""
    cloud.show_one("snapshot", snapshot)
