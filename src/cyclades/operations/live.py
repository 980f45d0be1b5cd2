"""How a step finds the running server that has a volume open."""

from __future__ import annotations

from cyclades.backends.base import Trail
from cyclades.operations.base import World
from cyclades.pools.base import FindLive, LiveDisk
from cyclades.store import servers, volumes
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


def _places(tx: Tx, volume_id: str) -> list[tuple[str, str]]:
    """Backend and server of each attachment, those being made or ended included."""
    attachments = volumes.attachments_of(tx, [volume_id]).get(volume_id, [])
    ids = [row.server_id for row in attachments if row.server_id is not None]
    return [(servers.get(tx, server_id, None).backend, server_id) for server_id in ids]
