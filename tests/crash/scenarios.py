"""For every operation at least one way to begin it: the world is prepared, the operation is accepted, and its id
returned. `test_crash.py` breaks each of them in every way; an operation without a scenario fails there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from tests.crash import (
    scenarios_admin,
    scenarios_images,
    scenarios_reconcile,
    scenarios_servers,
    scenarios_volume_data,
)
from tests.crash.scenarios_volume_data import a_snapshot, take_snapshot
from tests.crash.stage import Stage

from cyclades.operations import (
    snapshot_delete,
    volume_create,
    volume_delete,
    volume_extend,
)
from cyclades.operations.new_volume import Wanted

Scenario = Callable[[Stage], Awaitable[str]]


async def a_volume(stage: Stage, **wanted: Any) -> str:
    """A volume of 1 GiB that is there."""
    asked = replace(Wanted(size=1), **wanted)
    return await stage.do(lambda tx: volume_create.start(tx, stage.caller, stage.settings, asked))  # type: ignore[no-any-return]


async def _create(stage: Stage, wanted: Wanted) -> str:
    await stage.db.write(lambda tx: volume_create.start(tx, stage.caller, stage.settings, wanted))
    return await stage.latest_operation()


async def create_blank(stage: Stage) -> str:
    return await _create(stage, Wanted(size=1))


async def create_from_image(stage: Stage) -> str:
    return await _create(stage, Wanted(source="image", source_id=await stage.add_image()))


async def create_from_snapshot(stage: Stage) -> str:
    snapshot_id = await a_snapshot(stage, await a_volume(stage))
    return await _create(stage, Wanted(source="snapshot", source_id=snapshot_id))


async def create_from_volume(stage: Stage) -> str:
    return await _create(stage, Wanted(source="volume", source_id=await a_volume(stage)))


async def delete_volume(stage: Stage) -> str:
    volume_id = await a_volume(stage)
    await stage.db.write(lambda tx: volume_delete.start(tx, stage.caller, volume_id))
    return await stage.latest_operation()


async def delete_cloned_volume(stage: Stage) -> str:
    volume_id = await a_volume(stage)
    await a_volume(stage, source="volume", source_id=volume_id)
    await stage.db.write(lambda tx: volume_delete.start(tx, stage.caller, volume_id))
    return await stage.latest_operation()


async def extend(stage: Stage) -> str:
    volume_id = await a_volume(stage)
    await stage.db.write(lambda tx: volume_extend.start(tx, stage.caller, stage.settings, volume_id, 2))
    return await stage.latest_operation()


async def extend_in_use(stage: Stage) -> str:
    volume_id = await scenarios_servers.a_plugged_volume(stage)
    await stage.db.write(lambda tx: volume_extend.start(tx, stage.caller, stage.settings, volume_id, 2))
    return await stage.latest_operation()


async def snapshot(stage: Stage) -> str:
    volume_id = await a_volume(stage)
    await stage.db.write(lambda tx: take_snapshot(tx, stage, volume_id))
    return await stage.latest_operation()


async def snapshot_in_use(stage: Stage) -> str:
    volume_id = await scenarios_servers.a_plugged_volume(stage)
    await stage.db.write(lambda tx: take_snapshot(tx, stage, volume_id))
    return await stage.latest_operation()


async def delete_snapshot(stage: Stage) -> str:
    snapshot_id = await a_snapshot(stage, await a_volume(stage))
    await stage.db.write(lambda tx: snapshot_delete.start(tx, stage.caller, snapshot_id))
    return await stage.latest_operation()


async def delete_snapshot_in_use(stage: Stage) -> str:
    snapshot_id = await a_snapshot(stage, await scenarios_servers.a_plugged_volume(stage))
    await stage.db.write(lambda tx: snapshot_delete.start(tx, stage.caller, snapshot_id))
    return await stage.latest_operation()


# Named after the operation, and a word more where there are several ways.
SCENARIOS: dict[str, Scenario] = {
    "volume_create:blank": create_blank,
    "volume_create:image": create_from_image,
    "volume_create:snapshot": create_from_snapshot,
    "volume_create:volume": create_from_volume,
    "volume_delete": delete_volume,
    "volume_delete:cloned": delete_cloned_volume,
    "volume_extend": extend,
    "volume_extend:in-use": extend_in_use,
    "snapshot_create": snapshot,
    "snapshot_create:in-use": snapshot_in_use,
    "snapshot_delete": delete_snapshot,
    "snapshot_delete:in-use": delete_snapshot_in_use,
    **scenarios_admin.SCENARIOS,
    **scenarios_images.SCENARIOS,
    **scenarios_reconcile.SCENARIOS,
    **scenarios_servers.SCENARIOS,
    **scenarios_volume_data.SCENARIOS,
}
