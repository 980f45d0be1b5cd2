"""The operations of images; see `scenarios.py`."""

from __future__ import annotations

from tests.crash.stage import Stage

from cyclades.operations import image_delete, volume_create
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


SCENARIOS = {"image_delete": delete, "image_delete:cloned": delete_cloned}
