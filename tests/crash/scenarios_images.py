"""The operations of images; see `scenarios.py`."""

from __future__ import annotations

from tests.crash.scenarios_servers import a_server, an_image_of
from tests.crash.stage import OTHER_POOL_TYPE, Stage

from cyclades.operations import image_delete, image_write, volume_create
from cyclades.operations.new_volume import Wanted


async def _delete(stage: Stage, image_id: str) -> str:
    await stage.db.write(lambda tx: image_delete.start(tx, stage.caller, image_id))
    return await stage.latest_operation()


async def delete(stage: Stage) -> str:
    return await _delete(stage, await stage.add_image())


async def delete_cloned(stage: Stage) -> str:
    image_id = await stage.add_image()
    wanted = Wanted(source="image", source_id=image_id)
    await stage.do(lambda tx: volume_create.start(tx, stage.caller, stage.settings, wanted))
    return await _delete(stage, image_id)


async def delete_of_server(stage: Stage) -> str:
    """Its bytes lie under the root of a server that runs."""
    return await _delete(stage, await an_image_of(stage, await a_server(stage)))


async def write(stage: Stage) -> str:
    image_id = await an_image_of(stage, await a_server(stage))
    await stage.db.write(lambda tx: image_write.start(tx, stage.caller, image_id))
    return await stage.latest_operation()


async def create_in_another_pool(stage: Stage) -> str:
    """A volume of an image whose bytes lie in one pool alone, in another one."""
    image_id = await an_image_of(stage, await a_server(stage))
    wanted = Wanted(source="image", source_id=image_id, type=OTHER_POOL_TYPE)
    await stage.db.write(lambda tx: volume_create.start(tx, stage.caller, stage.settings, wanted))
    return await stage.latest_operation("volume_create")


SCENARIOS = {
    "image_delete": delete,
    "image_delete:cloned": delete_cloned,
    "image_delete:of-server": delete_of_server,
    "image_write": write,
    "volume_create:image-elsewhere": create_in_another_pool,
}
