"""How a step finds the running server that has a volume open."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.backends.base import Trail
from cyclades.config import Settings
from cyclades.model import capabilities
from cyclades.model.errors import WrongState
from cyclades.operations.base import World
from cyclades.pools.base import FindLive, LiveDisk
from cyclades.store import clusters, servers, volumes
from cyclades.store.database import Tx


def find_live(world: World, volume_id: str, trail: Trail | None = None) -> FindLive:
    """For pools: looks, each time it is asked, which server has the volume and whether it has it open. `trail`: of the
    step that does this."""

    async def find() -> LiveDisk | None:
        for backend, server_id in await world.db.read(lambda tx: _places(tx, volume_id)):
            live = await world.backends[backend].live_disk(server_id, volume_id, trail=trail)
            if live is not None:
                return live
        return None

    return find


async def tell_grown(world: World, volume_id: str, size: int, trail: Trail) -> None:
    """Let the backends of the servers that have the volume know that its disk has `size` bytes now."""
    for backend, server_id in await world.db.read(lambda tx: _places(tx, volume_id)):
        await world.backends[backend].grown(server_id, volume_id, size, trail=trail)


def require_freezable(tx: Tx, settings: Settings, row: Row[Any]) -> None:
    """`WrongState` if a snapshot of the volume takes the help of a running machine that gives none: its pool has no way
    of its own, and Ganeti has no word for it."""
    if capabilities.of_pool(row.pool, settings.storage).freezes:
        return
    for backend, server_id in _places(tx, row.id):
        if servers.get(tx, server_id, None).power == "running" and clusters.find(tx, backend) is not None:
            engine = capabilities.engine_of(row.pool, settings.storage)
            raise WrongState(
                "snapshot-in-use-on-ganeti",
                f"Invalid volume: volume {row.id} is in use by server {server_id} on Ganeti, where a disk of a "
                f"{engine} pool is frozen only at rest: stop the server, or detach the volume, first.",
                resource="volume",
            )


def _places(tx: Tx, volume_id: str) -> list[tuple[str, str]]:
    """Backend and server of each attachment, those being made or ended included."""
    attachments = volumes.attachments_of(tx, [volume_id]).get(volume_id, [])
    ids = [row.server_id for row in attachments if row.server_id is not None]
    return [(servers.get(tx, server_id, None).backend, server_id) for server_id in ids]
