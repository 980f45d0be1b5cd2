"""How a volume goes from one top layer to the next, in steps that a crash may come between.

1. The books say where it goes: `next_layer_id`, and for a snapshot its name on the layer that will be frozen.
2. The next layer's file is made.
3. A QEMU that has the volume open is told to write there; who may open it is told to open that one, by its card.
4. The books say that the volume is there.

Between 3 and 4 the new layer may already hold what a guest wrote. All functions want the disk held.
"""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Row

from cyclades.model.errors import Failed, Passing
from cyclades.pools.base import FindLive, LiveDisk
from cyclades.pools.qcow2 import cards, files, header
from cyclades.pools.qcow2.layers import Layers, blockdev, in_thread
from cyclades.store import layers as rows
from cyclades.store.database import Tx


async def plan(layers: Layers, volume: Row[Any], base_id: str, size: int, snapshot: str | None) -> Row[Any]:
    """Step 1: the volume is to go to a new layer of `size` bytes on the layer `base_id`."""
    next_id = str(uuid.uuid4())

    def change(tx: Tx) -> Row[Any]:
        base = rows.hold(tx, base_id)
        now = rows.find(tx, layers.pool, volume.name)
        if base is None or base.state != "live" or now is None or now.layer_id != volume.layer_id:
            raise Failed("The disk was deleted.")
        if now.next_layer_id is not None:
            raise Passing("The disk is busy with another operation.")
        rows.add(tx, layers.pool, next_id, size=size, parent_id=base_id)
        rows.change_disk(tx, layers.pool, volume.name, next_layer_id=next_id)
        if snapshot is not None:
            rows.add_disk(tx, layers.pool, snapshot, base_id, written=False, snapshot_of=volume.name)
        planned = rows.find(tx, layers.pool, volume.name)
        assert planned is not None
        return planned

    return await layers.db.write(change)


async def finish(layers: Layers, volume: Row[Any], live: LiveDisk | None) -> None:
    """Steps 2 to 4."""
    old, new = layers.head(volume), await layers.make(volume.next_layer_id)
    if live is None:
        if await in_thread(files.in_use, old) or await in_thread(files.in_use, new):
            raise Passing("The volume is open in a QEMU that cannot be asked now.")
    elif await live.top() != str(new):
        await live.switch(blockdev(new))
    await cards.renew(layers, volume.name, layer=new)
    size = await in_thread(files.virtual_size, old)
    await in_thread(layers.files.set_written, old, False)

    def change(tx: Tx) -> None:
        now = rows.find(tx, layers.pool, volume.name)
        if now is not None and now.next_layer_id == volume.next_layer_id:
            rows.change(tx, volume.layer_id, size=size)
            rows.change(tx, volume.next_layer_id, state="live")
            rows.change_disk(tx, layers.pool, volume.name, layer_id=volume.next_layer_id, next_layer_id=None)

    await layers.db.write(change)


async def abandon(layers: Layers, volume: Row[Any]) -> None:
    """Go back to before step 1. Only if step 3 was not done."""

    def change(tx: Tx) -> None:
        now = rows.find(tx, layers.pool, volume.name)
        if now is not None and now.next_layer_id == volume.next_layer_id:
            rows.remove_frozen_names(tx, volume.layer_id)
            rows.change_disk(tx, layers.pool, volume.name, next_layer_id=None)
            rows.change(tx, volume.next_layer_id, state="removing")

    await in_thread(layers.files.set_written, layers.head(volume), True)
    await cards.renew(layers, volume.name)
    await layers.db.write(change)
    await layers.drop(volume.next_layer_id)


async def settle(layers: Layers, volume: Row[Any], find_live: FindLive) -> Row[Any]:
    """Bring to an end what was interrupted: back if nothing can be in the new layer, else forward. Returns the
    volume as it is then."""
    if volume.next_layer_id is None:
        return volume
    target = await layers.db.read(lambda tx: rows.get(tx, volume.next_layer_id))
    live = await find_live()
    if target is None or target.parent_id != volume.layer_id or not await _may_hold_data(layers, volume, target, live):
        await abandon(layers, volume)
    else:
        await finish(layers, volume, live)
    return await layers.volume(volume.name)


async def _may_hold_data(layers: Layers, volume: Row[Any], target: Row[Any], live: LiveDisk | None) -> bool:
    path = layers.path(target)
    if not path.exists():
        return False
    if live is not None:
        return await live.top() != str(layers.head(volume))
    if await in_thread(files.in_use, path):
        return True
    return not await in_thread(header.is_empty, path)
