"""`cyclades quota-list`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.options import OfProject
from cyclades.cli.quotas import QUOTA
from cyclades.cli.resource import Where
from cyclades.store.database import Tx
from cyclades.store.schema import project as table


@command(QUOTA)
def quota_list(
    cloud: Cloud,
    project: OfProject = None,
    resource: Annotated[str | None, typer.Option(help="Only of this, like gigabytes or gigabytes_standard.")] = None,
    least: Annotated[int | None, typer.Option("--full", help="Only those that are full to so many percent.")] = None,
    used: Annotated[bool, typer.Option("--used", help="Only what is used.")] = False,
) -> None:
    """List what projects use, and what they may.

    `cyclades.disk` and `image_bytes` are bytes, `ram` is MiB, `gigabytes` are GiB. `own`: the limit is the project's.
    """

    def where(tx: Tx) -> Where:
        return [] if project is None else [table.c.id == find_project(tx, project).id]

    items = cloud.db.read_now(lambda tx: QUOTA.read(tx, cloud.settings, where(tx)))
    cloud.show_items(
        [
            item
            for item in items
            if resource in (None, item["resource"])
            and (least is None or (item["percent"] or 0) >= least)
            and (item["used"] or not used)
        ]
    )
