"""`cyclades volume-modify`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.options import Description, Metadata, Name, NoMetadata, changed, require_some
from cyclades.cli.volumes import VOLUME
from cyclades.model.errors import WrongState
from cyclades.model.names import check_name
from cyclades.operations import volume_attach, volume_extend
from cyclades.operations.new_volume import check_metadata
from cyclades.store import attachments, volumes
from cyclades.store.database import Tx


@command(VOLUME, changes=True, waits=True)
def volume_modify(
    cloud: Cloud,
    volume: Annotated[str, typer.Argument(metavar="ID", help="The volume.")],
    name: Name = None,
    description: Description = None,
    meta: Metadata = None,
    no_meta: NoMetadata = None,
    size: Annotated[int | None, typer.Option("--size", "-s", help="Extend it to so many GiB.")] = None,
    bootable: Annotated[
        bool | None, typer.Option("--bootable/--not-bootable", help="Whether servers can boot from it.")
    ] = None,
    delete_on_termination: Annotated[
        bool | None,
        typer.Option("--delete-on-termination/--keep-on-termination", help="Whether it ends with its server."),
    ] = None,
) -> int:
    """Change a volume: all that is said, or nothing."""
    require_some(name, description, meta, no_meta, size, bootable, delete_on_termination)
    check_name(name)

    def change(tx: Tx) -> list[str]:
        row = volumes.hold(tx, volume, None)
        if row.status == "maintenance":
            raise WrongState("volume-update", "The volume cannot be updated during maintenance.", resource="volume")
        values: dict[str, Any] = {"name": name, "description": description, "bootable": bootable}
        values = {column: value for column, value in values.items() if value is not None}
        if meta is not None or no_meta is not None:
            values["metadata"] = changed(row.metadata, meta, no_meta, "--no-meta")
            check_metadata(cloud.settings, values["metadata"])
        if values:
            volumes.change(tx, row.id, **values)
        if delete_on_termination is not None:
            _end_with_server(tx, row.id, ends=delete_on_termination)
        if size is not None:
            volume_extend.start(tx, cloud.caller(row.project_id), cloud.settings, row.id, size)
        return [row.id]

    return cloud.change(change)


def _end_with_server(tx: Tx, volume_id: str, *, ends: bool) -> None:
    plugged = [row for row in attachments.of_volume(tx, volume_id) if row.server_id is not None]
    if not plugged:
        raise WrongState("volume-not-attached", f"Volume {volume_id} has no server.", resource="volume")
    for row in plugged:
        volume_attach.end_with_server(tx, row, ends=ends)
