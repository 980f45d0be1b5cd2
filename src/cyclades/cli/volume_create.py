"""`cyclades volume-create`"""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.cli.options import Description, ForProject, Metadata, Name, pairs
from cyclades.cli.volumes import VOLUME
from cyclades.model.names import check_name
from cyclades.operations import volume_create as operation
from cyclades.operations import volume_create_attached
from cyclades.operations.new_volume import Source, Wanted
from cyclades.store import servers
from cyclades.store.database import Tx


@command(VOLUME, changes=True, waits=True)
def volume_create(
    cloud: Cloud,
    size: Annotated[
        int | None, typer.Option("--size", "-s", help="GiB. Without it, as large as its source needs.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="KIND:ID", help="What it is made from: image:ID, snapshot:ID or volume:ID."),
    ] = None,
    name: Name = None,
    description: Description = None,
    project: ForProject = "admin",
    volume_type: Annotated[
        str | None,
        typer.Option("--type", help="The volume type's name or id. Without it, the source's or the default one."),
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="The server (id) that it is made for and attached to, whose project it has.")
    ] = None,
    meta: Metadata = None,
) -> int:
    """Create a volume, empty or from a source, and show it."""
    kind, source_id = _source(source)
    if size is None and source is None:
        raise typer.BadParameter("A volume that is not made from something needs a size.", param_hint="--size")
    check_name(name)
    wanted = Wanted(
        size=size,
        name=name,
        description=description,
        type=volume_type,
        source=kind,
        source_id=source_id,
        metadata=pairs(meta or [], "--meta"),
    )

    def accept(tx: Tx) -> list[str]:
        if server is None:
            caller = cloud.caller(find_project(tx, project).id)
            return [operation.start(tx, caller, cloud.settings, wanted)]
        caller = cloud.caller(servers.get(tx, server, None).project_id)
        return [volume_create_attached.start(tx, caller, cloud.settings, wanted, server)]

    return cloud.change(accept)


def _source(text: str | None) -> tuple[Source, str | None]:
    if text is None:
        return "blank", None
    kind, colon, source_id = text.partition(":")
    for known in get_args(Source):
        if kind == known != "blank" and colon and source_id:
            return known, source_id
    raise typer.BadParameter(f"{text!r} is not image:ID, snapshot:ID or volume:ID.", param_hint="--source")
