"""`cyclades server-modify`"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.options import Description, Metadata, Name, NoMetadata, changed, require_some
from cyclades.cli.servers import SERVER
from cyclades.model.errors import Forbidden
from cyclades.model.names import check_name
from cyclades.operations import server_lock, server_reboot, server_start, server_stop
from cyclades.store import servers
from cyclades.store.database import Tx


class Action(StrEnum):
    START = "start"
    STOP = "stop"
    REBOOT = "reboot"
    HARD_REBOOT = "hard-reboot"


_INTERRUPTS = (Action.STOP, Action.REBOOT, Action.HARD_REBOOT)


@command(SERVER, asks=True, waits=True)
def server_modify(
    cloud: Cloud,
    server: Annotated[str, typer.Argument(metavar="ID", help="The server.")],
    name: Name = None,
    description: Description = None,
    meta: Metadata = None,
    no_meta: NoMetadata = None,
    action: Annotated[
        Action | None, typer.Option(help="hard-reboot resets it, and starts it where it had died.")
    ] = None,
    suspended: Annotated[
        bool | None,
        typer.Option("--suspended/--not-suspended", help="Suspended, it is locked: its project cannot change it."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is suspended: its users are told.")] = None,
) -> int:
    """Change a server: all that is said, or nothing. It asks before it interrupts the guest."""
    require_some(name, description, meta, no_meta, action, suspended)
    if reason is not None and not suspended:
        raise typer.BadParameter("A reason is given with --suspended.", param_hint="--reason")
    check_name(name)
    if name is not None and not name.strip():
        raise typer.BadParameter("It is empty.", param_hint="--name")
    cloud.db.read_now(lambda tx: servers.get(tx, server, None))
    if action in _INTERRUPTS:
        cloud.confirm(f"Do this to its guest: {action}?", cloud.find([server]))

    def change(tx: Tx) -> list[str]:
        row = servers.hold(tx, server, None)
        caller = cloud.caller(row.project_id)
        values: dict[str, Any] = {"name": name and name.strip(), "description": description}
        values = {column: value for column, value in values.items() if value is not None}
        if meta is not None or no_meta is not None:
            values["metadata"] = changed(row.metadata, meta, no_meta, "--no-meta")
            if len(values["metadata"]) > cloud.settings.limits.metadata_items:
                text = f"At most {cloud.settings.limits.metadata_items} metadata items are kept."
                raise Forbidden("metadata-items", text)
        if values:
            servers.change(tx, row.id, **values)
        if suspended:
            server_lock.lock(tx, cloud.caller(""), row.id, reason)  # nobody of its project
        elif suspended is False:
            server_lock.unlock(tx, caller, row.id)
        if action is Action.START:
            server_start.start(tx, caller, row.id)
        elif action is Action.STOP:
            server_stop.start(tx, caller, row.id)
        elif action is not None:
            server_reboot.start(tx, caller, row.id, hard=action is Action.HARD_REBOOT)
        return [row.id]

    return cloud.change(change)
