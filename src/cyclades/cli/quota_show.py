"""`cyclades quota-show`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.quotas import QUOTA, QUOTA_DEFAULTS


@command(QUOTA)
def quota_show(
    cloud: Cloud,
    project: Annotated[
        str | None, typer.Argument(help="The project's name or id. Without one: what all have by default.")
    ] = None,
) -> None:
    """Show what a project uses and may use, or what all may that have no limits of their own."""
    if project is None:
        cloud.show_items(cloud.db.read_now(lambda tx: QUOTA_DEFAULTS.read(tx, cloud.settings, [])))
        return
    cloud.show_items(cloud.find([cloud.db.read_now(lambda tx: find_project(tx, project).id)]))
