"""`cyclades flavor-access-list`"""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import typer

from cyclades.cli import flavors
from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.output import Fields
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.store.database import Tx
from cyclades.store.schema import flavor as table
from cyclades.store.schema import flavor_access, project


def _read(tx: Tx, _: Settings, where: Where) -> list[Fields]:
    found = (
        sa.select(flavor_access, table.c.name.label("flavor"), project.c.name.label("project"))
        .join(table, table.c.id == flavor_access.c.flavor_id)
        .outerjoin(project, project.c.id == flavor_access.c.project_id)
    )
    return [
        {"flavor": row.flavor, "project": row.project, "flavor_id": row.flavor_id, "project_id": row.project_id}
        for row in tx.execute(found.where(*where).order_by(table.c.name, project.c.name))
    ]


_ACCESS = Resource(
    columns=("flavor", "project", "flavor_id", "project_id"),
    more=(),
    key=flavor_access.c.flavor_id,
    read=_read,
    field="flavor_id",
)


@command(_ACCESS)
def flavor_access_list(
    cloud: Cloud,
    flavor: Annotated[str | None, typer.Option(help="Only to this flavor (id or name).")] = None,
    project: Annotated[str | None, typer.Option(help="Only of this project (name or id).")] = None,
) -> None:
    """List which projects may use which flavors that are not public."""

    def where(tx: Tx) -> Where:
        found = []
        if flavor is not None:
            found.append(flavor_access.c.flavor_id == flavors.find(tx, flavor).id)
        if project is not None:
            found.append(flavor_access.c.project_id == find_project(tx, project).id)
        return found

    cloud.show_list(where)
