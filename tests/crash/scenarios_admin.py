"""Ways to begin each operation by which volumes and snapshots are deleted or set right by force; see `scenarios.py`."""

from __future__ import annotations

from typing import Any

from tests.crash.scenarios_servers import a_blank_volume, a_plugged_volume, an_attachment
from tests.crash.scenarios_volume_data import a_snapshot, take_snapshot
from tests.crash.stage import Stage

from cyclades.operations import (
    snapshot_purge,
    snapshot_reset,
    volume_create,
    volume_extend,
    volume_force_detach,
    volume_purge,
    volume_reset,
)
from cyclades.operations.new_volume import Wanted
from cyclades.store import operations


async def _begin(stage: Stage, kind: str, change: Any) -> str:
    """The id of the newest operation of this kind: another one may be open, which it waits for."""
    await stage.db.write(change)
    opened = await stage.db.read(operations.open_ones)
    op_id: str = next(row.id for row in reversed(opened) if row.kind == kind)
    return op_id


async def _purge(stage: Stage, volume_id: str, *, cascade: bool = False, force: bool = False) -> str:
    return await _begin(
        stage,
        "volume_purge",
        lambda tx: volume_purge.start(tx, stage.caller, volume_id, cascade=cascade, force=force),
    )


async def cascade(stage: Stage) -> str:
    """Two snapshots, and a clone of one that lives on."""
    volume_id = await a_blank_volume(stage)
    snapshot_id = await a_snapshot(stage, volume_id)
    await a_snapshot(stage, volume_id)
    clone = Wanted(source="snapshot", source_id=snapshot_id)
    await stage.do(lambda tx: volume_create.start(tx, stage.caller, stage.settings, clone))
    return await _purge(stage, volume_id, cascade=True)


async def force_while_made(stage: Stage) -> str:
    """From an image, so that there is something to turn back."""
    wanted = Wanted(source="image", source_id=await stage.add_image())
    volume_id = await stage.db.write(lambda tx: volume_create.start(tx, stage.caller, stage.settings, wanted))
    return await _purge(stage, volume_id, force=True)


async def force_while_snapshot_made(stage: Stage) -> str:
    volume_id = await a_blank_volume(stage)
    await stage.db.write(lambda tx: take_snapshot(tx, stage, volume_id))
    return await _purge(stage, volume_id, cascade=True, force=True)


async def force_in_error(stage: Stage) -> str:
    volume_id = await a_blank_volume(stage)
    await stage.db.write(lambda tx: volume_reset.start(tx, stage.caller, volume_id, status="error"))
    return await _purge(stage, volume_id, force=True)


async def force_delete_snapshot(stage: Stage) -> str:
    snapshot_id = await a_snapshot(stage, await a_blank_volume(stage))
    await stage.db.write(lambda tx: snapshot_reset.start(tx, stage.caller, snapshot_id, "creating"))
    return await _begin(stage, "snapshot_purge", lambda tx: snapshot_purge.start(tx, stage.caller, snapshot_id))


async def force_delete_snapshot_while_made(stage: Stage) -> str:
    volume_id = await a_plugged_volume(stage)
    snapshot_id = await stage.db.write(lambda tx: take_snapshot(tx, stage, volume_id))
    return await _begin(stage, "snapshot_purge", lambda tx: snapshot_purge.start(tx, stage.caller, snapshot_id))


async def reset(stage: Stage) -> str:
    volume_id = await a_blank_volume(stage)
    await stage.db.write(lambda tx: volume_reset.start(tx, stage.caller, volume_id, status="error"))
    return await _begin(
        stage, "volume_reset", lambda tx: volume_reset.start(tx, stage.caller, volume_id, status="available")
    )


async def reset_while_extended(stage: Stage) -> str:
    volume_id = await a_blank_volume(stage)
    await stage.db.write(lambda tx: volume_extend.start(tx, stage.caller, stage.settings, volume_id, 2))
    return await _begin(
        stage, "volume_reset", lambda tx: volume_reset.start(tx, stage.caller, volume_id, status="available")
    )


async def reset_in_use(stage: Stage) -> str:
    volume_id = await a_plugged_volume(stage)
    await stage.db.write(lambda tx: volume_reset.start(tx, stage.caller, volume_id, status="error"))
    return await _begin(
        stage, "volume_reset", lambda tx: volume_reset.start(tx, stage.caller, volume_id, status="in-use")
    )


async def reset_snapshot(stage: Stage) -> str:
    snapshot_id = await a_snapshot(stage, await a_blank_volume(stage))
    await stage.db.write(lambda tx: snapshot_reset.start(tx, stage.caller, snapshot_id, "error"))
    return await _begin(
        stage, "snapshot_reset", lambda tx: snapshot_reset.start(tx, stage.caller, snapshot_id, "available")
    )


async def reset_snapshot_while_made(stage: Stage) -> str:
    volume_id = await a_blank_volume(stage)
    snapshot_id = await stage.db.write(lambda tx: take_snapshot(tx, stage, volume_id))
    return await _begin(
        stage, "snapshot_reset", lambda tx: snapshot_reset.start(tx, stage.caller, snapshot_id, "error")
    )


async def force_detach(stage: Stage) -> str:
    _, volume_id = await an_attachment(stage)
    await stage.db.write(lambda tx: volume_reset.start(tx, stage.caller, volume_id, status="error"))
    return await _begin(stage, "volume_detach", lambda tx: volume_force_detach.start(tx, stage.caller, volume_id, None))


SCENARIOS = {
    "volume_purge:cascade": cascade,
    "volume_purge:while-made": force_while_made,
    "volume_purge:while-snapshot-made": force_while_snapshot_made,
    "volume_purge:in-error": force_in_error,
    "snapshot_purge": force_delete_snapshot,
    "snapshot_purge:while-made": force_delete_snapshot_while_made,
    "volume_reset": reset,
    "volume_reset:while-extended": reset_while_extended,
    "volume_reset:in-use": reset_in_use,
    "snapshot_reset": reset_snapshot,
    "snapshot_reset:while-made": reset_snapshot_while_made,
    "volume_detach:forced": force_detach,
}
