"""Ways to begin what mends: something is done behind our back first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.crash.scenarios_servers import a_blank_volume, a_stopped_server, an_attachment
from tests.crash.stage import Stage

from cyclades.backends.base import Plug, ServerSpec
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations import (
    pool_disk_delete,
    server_disk_name,
    server_remove_unknown,
    volume_replug,
    volume_unplug,
)
from cyclades.operations.base import new_id
from cyclades.reconcile.difference import Difference
from cyclades.reconcile.look import at_pools, at_quotas, at_servers, twice
from cyclades.store import attachments

HERE = "local"  # the backend, and the pool


async def _begin(stage: Stage, change: Any) -> str:
    await stage.db.write(change)
    return await stage.latest_operation()


async def unplugged_by_hand(stage: Stage) -> tuple[str, str]:
    """An attachment whose volume is no longer plugged in."""
    server_id, volume_id = await an_attachment(stage)
    row = await stage.db.read(lambda tx: attachments.get(tx, server_id, volume_id))
    await stage.world.backends[HERE].unplug(server_id, volume_id, row.generation, patience=10.0)
    return server_id, volume_id


async def replug(stage: Stage) -> str:
    server_id, volume_id = await unplugged_by_hand(stage)
    row = await stage.db.read(lambda tx: attachments.get(tx, server_id, volume_id))
    return await _begin(stage, lambda tx: volume_replug.start(tx, stage.caller, row))


async def plugged_by_hand(stage: Stage) -> tuple[str, str]:
    """A volume that is plugged into a server, and not attached to it."""
    server_id, volume_id = await a_stopped_server(stage), await a_blank_volume(stage)
    pool = stage.world.pools[HERE]
    await pool.claim(volume_disk(volume_id), f"{HERE}/{server_id}", 1)
    plug = Plug(volume_id, volume_disk(volume_id), pool, index=1, generation=1, size=GIB)
    await stage.world.backends[HERE].plug(server_id, plug)
    return server_id, volume_id


async def unplug(stage: Stage) -> str:
    server_id, volume_id = await plugged_by_hand(stage)
    return await _begin(stage, lambda tx: volume_unplug.start(tx, stage.caller, HERE, server_id, volume_id, 1))


async def name(stage: Stage) -> str:
    server_id, volume_id = await an_attachment(stage)
    return await _begin(stage, lambda tx: server_disk_name.start(tx, stage.caller, server_id, volume_id))


async def unknown_server(stage: Stage) -> str:
    """The id of a server that is on the backend, and not in the database."""
    spec = ServerSpec(new_id(), "nobody", "stranger", vcpus=1, memory=64, plugs=())
    await stage.world.backends[HERE].start(spec)
    return spec.server_id


async def remove_unknown(stage: Stage) -> str:
    server_id = await unknown_server(stage)
    return await _begin(stage, lambda tx: server_remove_unknown.start(tx, stage.caller, HERE, server_id))


async def unowned_disk(stage: Stage) -> str:
    """The name of a disk that nobody owns."""
    disk = volume_disk(new_id())
    await stage.world.pools[HERE].create(disk, GIB)
    return disk


async def delete_disk(stage: Stage) -> str:
    disk = await unowned_disk(stage)
    return await _begin(stage, lambda tx: pool_disk_delete.start(tx, stage.caller, HERE, disk))


async def seen(stage: Stage) -> tuple[Difference, ...]:
    """All that differs."""
    at = (at_servers(stage.world), at_pools(stage.world), at_quotas(stage.world))
    looks = {f"{number}:{place}": look for number, looks in enumerate(at) for place, look in looks.items()}
    report = await twice(looks, pause=0)
    assert report.unseen == {}
    return report.differences


async def mend(stage: Stage, fixes: Iterable[str]) -> int:
    """As the commands do with these `--fix-…`; returns how many were mended."""
    found = [mending for one in await seen(stage) if (mending := one.mending(fixes)) is not None]
    for mending in found:
        await stage.db.write(lambda tx, one=mending: one.accept(tx, stage.settings, lambda _: stage.caller))  # type: ignore[misc]
    await stage.settle()
    return len(found)


SCENARIOS = {
    "volume_replug": replug,
    "volume_unplug": unplug,
    "server_disk_name": name,
    "server_remove_unknown": remove_unknown,
    "pool_disk_delete": delete_disk,
}

# If these fail, what was done behind our back is as it was, and can be mended again.
MENDING = frozenset(SCENARIOS) - {"server_disk_name"}
