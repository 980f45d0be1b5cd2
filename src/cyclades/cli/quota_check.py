"""`cyclades quota-check`"""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import typer

from cyclades.cli import quotas
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.output import Fields
from cyclades.cli.refused import DIFFERS
from cyclades.cli.resource import Resource
from cyclades.store import projects
from cyclades.store import quota_check as check
from cyclades.store.database import Tx

_DIFFERENCE = Resource(
    columns=("project", "resource", "there", "counted"),
    more=("project_id",),
    key=sa.column("project_id"),
    read=lambda *_: [],
)


@command(_DIFFERENCE, asks=True)
def quota_check(
    cloud: Cloud, fix: Annotated[bool, typer.Option("--fix", help="Let the quotas say what there is.")] = False
) -> int:
    """Compare what quotas say is used with what there is. Nothing should ever differ; exit code 4 if it does.

    Projects in which operations are at work are left out, and named.
    """

    differences, busy = cloud.db.write_now(_look)
    if busy:
        typer.echo(f"Left out: {busy} projects in which operations are at work.", err=True)
    if fix and differences:
        cloud.confirm("Let the quotas say what there is?", differences)
        if not cloud.dry_run:
            cloud.show_items(cloud.db.write_now(_mend))
            return 0
    cloud.show_items(differences)
    return DIFFERS if differences else 0


def _look(tx: Tx) -> tuple[list[Fields], int]:
    check.hold(tx)
    found, busy = check.differences(tx)
    return _shown(tx, found), len(busy)


def _mend(tx: Tx) -> list[Fields]:
    check.hold(tx)
    found, _ = check.differences(tx)
    for one in found:
        check.mend(tx, one.project_id, one.resource)
    return _shown(tx, found)


def _shown(tx: Tx, found: list[check.Difference]) -> list[Fields]:
    of, resources = {row.id: row.name for row in projects.every(tx)}, quotas.names(tx)
    return [
        {
            "project": of.get(one.project_id),
            "resource": resources.get(one.resource, one.resource),
            "there": one.due,
            "counted": one.used,
            "project_id": one.project_id,
        }
        for one in found
    ]
