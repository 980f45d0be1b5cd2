"""Ways to begin what mends in a cluster: something is done behind our back first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.crash.scenarios_reconcile import mend
from tests.crash.stage import Stage
from tests.ganeti.cell import Cell
from tests.ganeti.place import name_of
from tests.ganeti.scenarios import a_stopped_server, a_volume, an_attachment, begin
from tests.ganeti.stage import POOL, GanetiStage

from cyclades.backends.base import Plug, ServerSpec
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations import (
    server_disk_name,
    server_remove_unknown,
    server_start,
    volume_detach,
    volume_extend,
    volume_replug,
    volume_unplug,
)
from cyclades.operations.base import new_id
from cyclades.store import attachments

HERE = "c1"


async def _by_hand(stage: Stage, *words: str) -> None:
    assert isinstance(stage, GanetiStage)
    cell: Cell = stage.cells[HERE]
    await asyncio.to_thread(cell.run, "gnt-instance", *words)


async def _lost(stage: Stage, type_name: str | None, how: str) -> tuple[str, str]:
    """An attachment whose disk the server has no more."""
    server_id, volume_id = await an_attachment(stage, type_name)
    await _by_hand(stage, "modify", "--disk", f"1:{how}", name_of(server_id))
    return server_id, volume_id


async def _replug(stage: Stage, type_name: str | None, how: str) -> str:
    server_id, volume_id = await _lost(stage, type_name, how)
    row = await stage.db.read(lambda tx: attachments.get(tx, server_id, volume_id))
    return await begin(stage, lambda tx: volume_replug.start(tx, stage.caller, row))


async def replug(stage: Stage) -> str:
    return await _replug(stage, None, "remove")


async def replug_on_template(stage: Stage) -> str:
    """A disk that the cluster kept."""
    return await _replug(stage, "sharedfile", "detach")


async def detach_what_was_removed(stage: Stage) -> str:
    server_id, volume_id = await _lost(stage, None, "remove")
    return await begin(stage, lambda tx: volume_detach.start(tx, stage.caller, server_id, volume_id))


async def unplug(stage: Stage) -> str:
    """A volume that is plugged into a server, and not attached to it."""
    server_id, volume_id = await a_stopped_server(stage), await a_volume(stage)
    pool = stage.world.pools[POOL]
    await pool.claim(volume_disk(volume_id), f"{HERE}/{server_id}", 1, card=True)
    plug = Plug(volume_id, volume_disk(volume_id), pool, index=1, generation=1, size=GIB)
    await stage.world.backends[HERE].plug(server_id, plug)
    return await begin(stage, lambda tx: volume_unplug.start(tx, stage.caller, HERE, server_id, volume_id, 1))


async def name(stage: Stage) -> str:
    server_id, volume_id = await an_attachment(stage, "sharedfile")
    await _by_hand(stage, "modify", "--disk", "1:modify,name=mine", name_of(server_id))
    return await begin(stage, lambda tx: server_disk_name.start(tx, stage.caller, server_id, volume_id))


async def follow_growth(stage: Stage) -> str:
    server_id, volume_id = await an_attachment(stage, "sharedfile")
    await _by_hand(stage, "grow-disk", name_of(server_id), "1", "512m")
    return await begin(stage, lambda tx: volume_extend.start(tx, stage.caller, stage.settings, volume_id, 2))


async def remove_unknown(stage: Stage) -> str:
    spec = ServerSpec(new_id(), "nobody", "stranger", vcpus=1, memory=64, plugs=())
    await stage.world.backends[HERE].start(spec)
    return await begin(stage, lambda tx: server_remove_unknown.start(tx, stage.caller, HERE, spec.server_id))


async def make_anew(stage: Stage) -> str:
    """A server whose instance was removed, and its volume with it."""
    server_id, _ = await an_attachment(stage)
    await _by_hand(stage, "remove", "--force", "--shutdown-timeout=0", name_of(server_id))
    assert await mend(stage, ["server-missing"]) == 1
    return await begin(stage, lambda tx: server_start.start(tx, stage.caller, server_id))


async def start_what_was_started(stage: Stage) -> str:
    """The rows say that it is off."""
    server_id = await a_stopped_server(stage)
    await _by_hand(stage, "startup", name_of(server_id))
    return await begin(stage, lambda tx: server_start.start(tx, stage.caller, server_id))


SCENARIOS: dict[str, Callable[[Stage], Awaitable[str]]] = {
    "volume_replug": replug,
    "volume_replug:sharedfile": replug_on_template,
    "volume_detach:removed": detach_what_was_removed,
    "volume_unplug": unplug,
    "server_disk_name": name,
    "volume_extend:grown": follow_growth,
    "server_remove_unknown": remove_unknown,
    "server_start:missing": make_anew,
    "server_start:started": start_what_was_started,
}
