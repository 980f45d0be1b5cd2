"""`cyclades volume-remove`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli import volumes
from cyclades.cli.asking import confirm
from cyclades.cli.beside import carry_out, cloud, operator
from cyclades.cli.options import ConfigFile, Data, Output, Wait, Yes, settings_from
from cyclades.cli.output import Format, show_list
from cyclades.cli.refused import refusals_told
from cyclades.operations import volume_delete as operation
from cyclades.store import volumes as rows
from cyclades.store.database import Tx


def volume_remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The volumes.", show_default=False)],
    yes: Yes = False,
    wait: Wait = False,
    output: Output = Format.TABLE,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Delete volumes with what is in them: all of these, or none if one of them cannot be."""
    ids = list(dict.fromkeys(ids))
    with refusals_told():
        settings = settings_from(config, data)
        with cloud(settings) as db:
            found = db.read_now(lambda tx: volumes.fields(tx, [rows.get(tx, one, None).id for one in ids]))
            confirm("Delete what is listed here?", found, yes=yes)
            accepted = db.write_now(lambda tx: {_accept(tx, one): f"Volume {one}" for one in ids})
            code = carry_out(db, settings, accepted, wait=wait)
            show_list(db.read_now(lambda tx: volumes.fields(tx, ids)), output)
    raise typer.Exit(code)


def _accept(tx: Tx, volume_id: str) -> str:
    """The id of the operation."""
    operation.start(tx, operator(rows.get(tx, volume_id, None).project_id), volume_id)
    op_id: str = rows.get(tx, volume_id, None).operation_id
    return op_id
