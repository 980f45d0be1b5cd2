"""Ways to begin each operation that moves or makes the bytes of volumes; see `scenarios.py`."""

from __future__ import annotations

from typing import Any

from tests.crash.scenarios_servers import (
    a_blank_volume,
    a_plugged_volume,
    a_server,
    a_server_of_volumes,
    a_stopped_server,
    an_attachment,
)
from tests.crash.stage import OTHER_POOL_TYPE, Stage

from cyclades.model.names import unmanaged_disk
from cyclades.model.units import MIB
from cyclades.operations import (
    image_create,
    pool_adoptable,
    server_stop,
    snapshot_create,
    snapshot_manage,
    snapshot_unmanage,
    volume_create_attached,
    volume_manage,
    volume_reimage,
    volume_retype,
    volume_revert,
    volume_unmanage,
    volume_upload,
)
from cyclades.operations.new_volume import Wanted
from cyclades.store import attachments
from cyclades.store.database import Tx


def take_snapshot(tx: Tx, stage: Stage, volume_id: str) -> str:
    return snapshot_create.start(
        tx, stage.caller, stage.settings, volume_id, name=None, description=None, metadata={}, in_use=True
    )


async def a_snapshot(stage: Stage, volume_id: str) -> str:
    return await stage.do(lambda tx: take_snapshot(tx, stage, volume_id))  # type: ignore[no-any-return]


async def an_unmanaged_volume(stage: Stage) -> str:
    """Its former id."""
    volume_id = await a_blank_volume(stage)
    await stage.do(lambda tx: volume_unmanage.start(tx, stage.caller, volume_id))
    return volume_id


async def _begin(stage: Stage, change: Any) -> str:
    await stage.db.write(change)
    return await stage.latest_operation()


async def create_attached(stage: Stage) -> str:
    server_id = await a_server(stage)
    return await _begin(
        stage, lambda tx: volume_create_attached.start(tx, stage.caller, stage.settings, Wanted(size=1), server_id)
    )


async def create_attached_from_volume(stage: Stage) -> str:
    """On a server that is stopped."""
    server_id, source_id = await a_stopped_server(stage), await a_blank_volume(stage)
    wanted = Wanted(source="volume", source_id=source_id)
    return await _begin(
        stage, lambda tx: volume_create_attached.start(tx, stage.caller, stage.settings, wanted, server_id)
    )


async def _retype(stage: Stage, volume_id: str) -> str:
    """To a type of the other pool."""
    return await _begin(
        stage,
        lambda tx: volume_retype.start(tx, stage.caller, stage.settings, volume_id, OTHER_POOL_TYPE, may_move=True),
    )


async def retype(stage: Stage) -> str:
    return await _retype(stage, await a_blank_volume(stage))


async def retype_in_use(stage: Stage) -> str:
    return await _retype(stage, await a_plugged_volume(stage))


async def retype_root(stage: Stage) -> str:
    """Of a server that runs, booted from the volume, which is a clone."""
    server_id = await a_server_of_volumes(stage)
    (root, _) = await stage.db.read(lambda tx: attachments.of_server(tx, server_id))
    return await _retype(stage, root.volume_id)


async def retype_stopped(stage: Stage) -> str:
    server_id, volume_id = await an_attachment(stage)
    await stage.do(lambda tx: server_stop.start(tx, stage.caller, server_id))
    return await _retype(stage, volume_id)


async def revert(stage: Stage) -> str:
    volume_id = await a_blank_volume(stage)
    snapshot_id = await a_snapshot(stage, volume_id)
    return await _begin(stage, lambda tx: volume_revert.start(tx, stage.caller, volume_id, snapshot_id))


async def reimage(stage: Stage) -> str:
    volume_id, image_id = await a_blank_volume(stage), await stage.add_image()
    return await _begin(stage, lambda tx: volume_reimage.start(tx, stage.caller, volume_id, image_id, reserved=False))


async def _upload(stage: Stage, volume_id: str, disk_format: str) -> str:
    wanted = image_create.Wanted(name="made", disk_format=disk_format, container_format="bare")
    return await _begin(
        stage,
        lambda tx: volume_upload.start(tx, stage.caller, stage.settings, volume_id, wanted, in_use=True),
    )


async def upload(stage: Stage) -> str:
    return await _upload(stage, await a_blank_volume(stage), "qcow2")


async def upload_in_use(stage: Stage) -> str:
    return await _upload(stage, await a_plugged_volume(stage), "qcow2")


async def _manage(stage: Stage, source: str) -> str:
    wanted = volume_manage.Wanted("local", source)
    return await _begin(stage, lambda tx: volume_manage.start(tx, stage.caller, stage.settings, wanted))


async def manage(stage: Stage) -> str:
    return await _manage(stage, unmanaged_disk(await an_unmanaged_volume(stage)))


async def manage_file(stage: Stage) -> str:
    (stage.settings.data / "pools" / "local" / "incoming" / "old.raw").write_bytes(bytes(range(256)) * (MIB // 256))
    return await _manage(stage, "incoming/old.raw")


async def unmanage(stage: Stage) -> str:
    volume_id = await a_blank_volume(stage)
    return await _begin(stage, lambda tx: volume_unmanage.start(tx, stage.caller, volume_id))


async def manage_snapshot(stage: Stage) -> str:
    volume_id = await a_blank_volume(stage)
    snapshot_id = await a_snapshot(stage, volume_id)
    await stage.do(lambda tx: snapshot_unmanage.start(tx, stage.caller, snapshot_id))
    wanted = snapshot_manage.Wanted(volume_id, unmanaged_disk(snapshot_id))
    return await _begin(stage, lambda tx: snapshot_manage.start(tx, stage.caller, stage.settings, wanted))


async def unmanage_snapshot(stage: Stage) -> str:
    snapshot_id = await a_snapshot(stage, await a_plugged_volume(stage))
    return await _begin(stage, lambda tx: snapshot_unmanage.start(tx, stage.caller, snapshot_id))


async def adoptable(stage: Stage) -> str:
    await an_unmanaged_volume(stage)
    return await _begin(stage, lambda tx: pool_adoptable.start(tx, stage.caller, "local"))


SCENARIOS = {
    "volume_create_attached": create_attached,
    "volume_create_attached:volume": create_attached_from_volume,
    "volume_retype": retype,
    "volume_retype:in-use": retype_in_use,
    "volume_retype:root": retype_root,
    "volume_retype:stopped": retype_stopped,
    "volume_revert": revert,
    "volume_reimage": reimage,
    "volume_upload": upload,
    "volume_upload:in-use": upload_in_use,
    "volume_manage": manage,
    "volume_manage:file": manage_file,
    "volume_unmanage": unmanage,
    "snapshot_manage": manage_snapshot,
    "snapshot_unmanage:in-use": unmanage_snapshot,
    "pool_adoptable": adoptable,
}
