"""A disk that still belongs to a server, although the volume's attachment is gone: it is given free when it is proven
that nothing of that server reaches it."""

from __future__ import annotations

from cyclades.model.errors import Failed
from cyclades.model.names import volume_disk
from cyclades.operations.base import World


async def set_free(world: World, pool_name: str, volume_id: str) -> None:
    """Repeatable. `Failed` if the server has the disk plugged in, or if its backend is none of ours."""
    pool, disk = world.pools[pool_name], volume_disk(volume_id)
    info = await pool.find(disk)
    if info is None or info.owner is None:
        return
    backend_name, _, server_id = info.owner.partition("/")
    backend = world.backends.get(backend_name)
    if backend is None:
        raise Failed(f"The disk belongs to server {server_id} of backend {backend_name}, which is not configured.")
    if any(seen.volume_id == volume_id for seen in (await backend.look(server_id)).disks):
        raise Failed(f"Server {server_id} still has the volume plugged in; stop or delete the server.")
    await pool.release(disk, info.owner, info.generation)
