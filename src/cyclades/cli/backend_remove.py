"""`cyclades backend-remove`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli.backends import BACKEND
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.model.errors import Invalid, WrongState
from cyclades.store import backend_disks, clusters, servers
from cyclades.store.database import Tx


@command(BACKEND, asks=True)
def backend_remove(
    cloud: Cloud, name: Annotated[str, typer.Argument(help="The backend, which has no servers and no disks any more.")]
) -> int:
    """Forget a Ganeti cluster. Nothing is changed there."""
    cloud.db.read_now(lambda tx: _require_removable(tx, cloud, name))
    cloud.confirm("Forget this backend?", cloud.find([name]))

    def remove(tx: Tx) -> list[str]:
        clusters.hold(tx, name)
        _require_removable(tx, cloud, name)
        clusters.remove(tx, name)
        return [name]

    return cloud.change(remove)


def _require_removable(tx: Tx, cloud: Cloud, name: str) -> None:
    if any(one.name == name for one in cloud.settings.backends):
        raise Invalid("backend-in-settings", f"Backend {name} is in the settings: take it out there.")
    clusters.get(tx, name)
    if (number := len(servers.of_backend(tx, name))) > 0:
        text = f"Backend {name} has {number} servers: delete them first (`cyclades server-list --backend {name}`)."
        raise WrongState("backend-has-servers", text, resource="backend")
    if disks := backend_disks.of_backend(tx, name):
        volumes = ", ".join(sorted({row.volume_id for row in disks})[:5])
        text = f"Backend {name} keeps {len(disks)} disks of volumes ({volumes} …): delete those first."
        raise WrongState("backend-has-disks", text, resource="backend")
