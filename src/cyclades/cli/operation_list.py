"""`cyclades operation-list`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.operations import OPERATION
from cyclades.cli.options import OfProject
from cyclades.cli.resource import Where
from cyclades.store.database import Tx
from cyclades.store.schema import now, operation


@command(OPERATION)
def operation_list(
    cloud: Cloud,
    ended: Annotated[bool, typer.Option("--all", help="Also those that have ended, as long as they are kept.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that have failed.")] = False,
    kind: Annotated[str | None, typer.Option(help="Only of this kind, like volume_create.")] = None,
    resource: Annotated[str | None, typer.Option(help="Only on this volume, server, … (id).")] = None,
    project: OfProject = None,
    older: Annotated[int | None, typer.Option(help="Only those that were asked for so many seconds ago.")] = None,
) -> None:
    """List what is being done: at which step each operation is, and why it waits. `age` is seconds."""

    def where(tx: Tx) -> Where:
        found = []
        if failed:
            found.append(operation.c.state == "failed")
        elif not ended:
            found.append(operation.c.ended_at.is_(None))
        if kind is not None:
            found.append(operation.c.kind == kind)
        if resource is not None:
            found.append(operation.c.resource_id == resource)
        if project is not None:
            found.append(operation.c.project_id == find_project(tx, project).id)
        if older is not None:
            found.append(operation.c.created_at <= now() - older * 1_000_000)
        return found

    cloud.show_list(where)
