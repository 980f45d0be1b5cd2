"""Layers that no name stands for go away: without a child at once, with one child by being merged with it.

A merge that is not possible now (a QEMU has the layers open, and the upper one is not its top) is left for
later; nothing depends on it but space.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Row

from cyclades.model.errors import Fault, Passing
from cyclades.pools import qemu_img
from cyclades.pools.base import FindLive, no_progress
from cyclades.pools.qcow2 import cards, files, stream
from cyclades.pools.qcow2.layers import Layers, in_thread
from cyclades.store import layers as rows
from cyclades.store.database import Tx

_log = structlog.get_logger()

_PATIENCE = 2.0  # seconds for locks, before a merge is left for later


@dataclass(frozen=True)
class Verdict:
    """What is to happen to a layer: it is gone (then look at `parent_id`), or is to be merged with `child_id`."""

    gone: bool = False
    parent_id: str | None = None
    child_id: str | None = None


def judge(tx: Tx, layer_id: str) -> Verdict:
    """A layer without name and child is put into state `removing`: nobody can build on it any more."""
    layer = rows.hold(tx, layer_id)
    if layer is None or rows.is_named(tx, layer_id):
        return Verdict()
    children = rows.children(tx, layer_id)
    if not children:
        rows.change(tx, layer_id, state="removing")
        return Verdict(gone=True, parent_id=layer.parent_id)
    if len(children) == 1 and layer.state == "live":
        return Verdict(parent_id=layer.parent_id, child_id=children[0].id)
    return Verdict()


async def prune(layers: Layers, layer_id: str | None, live: FindLive, first: Verdict | None = None) -> list[str]:
    """Take away the layer if it can go, then those below that can go with it. `first` is what was judged already.
    Returns a line for each."""
    done = []
    while layer_id is not None:
        verdict, first = first or await _judge(layers, layer_id), None
        if verdict.gone:
            await layers.drop(layer_id)
            done.append(f"removed layer {layer_id}")
        elif verdict.child_id is not None:
            if not await _try_merge(layers, layer_id, verdict.child_id, live):
                if await _is_there(layers, verdict.child_id):
                    break
                # Who took the child away may have seen this layer named still: it is judged once more.
                continue
            done.append(f"merged layers {layer_id} and {verdict.child_id}")
        else:
            break
        layer_id = verdict.parent_id
    return done


async def _judge(layers: Layers, layer_id: str) -> Verdict:
    """Most layers below are named: seen without a write."""
    if await layers.db.read(lambda tx: rows.is_named(tx, layer_id)):
        return Verdict()
    return await layers.db.write(lambda tx: judge(tx, layer_id))


async def _is_there(layers: Layers, layer_id: str) -> bool:
    return await layers.db.read(lambda tx: rows.get(tx, layer_id)) is not None


async def _try_merge(layers: Layers, lower_id: str, upper_id: str, live: FindLive) -> bool:
    try:
        async with AsyncExitStack() as held:
            return await _merge(layers, held, lower_id, upper_id, live)
    except Fault as fault:
        _log.info("a merge is left for later", lower=lower_id, upper=upper_id, why=str(fault))
        return False


async def _merge(layers: Layers, held: AsyncExitStack, lower_id: str, upper_id: str, live: FindLive) -> bool:
    volume = await layers.db.read(lambda tx: rows.volume_of(tx, upper_id))
    fds = []
    if volume is not None:
        fds.append(await held.enter_async_context(layers.hold_disk(volume.name, patience=_PATIENCE)))
    fds.append(await held.enter_async_context(layers.hold_layer(upper_id, patience=_PATIENCE)))
    # What lies below the lower layer stays as it is, too: it may be merged itself, as the upper one.
    fds.append(await held.enter_async_context(layers.hold_layer(lower_id, shared=True, patience=_PATIENCE)))
    pair = await layers.db.read(lambda tx: _pair(tx, lower_id, upper_id, None if volume is None else volume.name))
    if pair is None:
        return False
    lower, upper, base = pair
    lower_path, upper_path = layers.path(lower), layers.path(upper)
    base_path = None if base is None else layers.path(base)
    disk = await live()
    if disk is not None and await disk.top() == str(upper_path):
        await disk.pull(None if base_path is None else str(base_path), no_progress)
    elif await in_thread(files.in_use, upper_path):
        return False
    elif volume is not None and lower.format == "qcow2" and await _may_go_down(layers, volume, upper_path, lower_path):
        # The other way round copies less: down into the lower layer, which then is the volume's.
        await in_thread(layers.files.set_written, lower_path, True)
        await qemu_img.commit(upper_path, fds=fds)
        await in_thread(files.sync, lower_path)
        await layers.db.write(lambda tx: _stand_in(tx, layers.pool, volume.name, lower_id, upper))
        await cards.renew(layers, volume.name)
        await layers.drop(upper_id)
        return True
    else:
        await in_thread(layers.files.set_written, upper_path, True)
        await stream.pull([upper_path, lower_path], base_path, fds=fds)
        await in_thread(files.sync, upper_path)
        await in_thread(layers.files.set_written, upper_path, volume is not None)
    await layers.db.write(lambda tx: _close_gap(tx, lower, upper_id))
    await layers.drop(lower_id)
    return True


async def _may_go_down(layers: Layers, volume: Row[Any], upper: Path, lower: Path) -> bool:
    """Whether the lower layer may become the volume's, and this is less to copy. A node that may open the disk at any
    time keeps the layer that its card names."""
    now = await layers.find(volume.name)
    if now is not None and now.owner is not None and await cards.exists(layers, volume.name):
        return False
    return files.used(upper) <= files.used(lower)


def _pair(
    tx: Tx, lower_id: str, upper_id: str, volume: str | None
) -> tuple[Row[Any], Row[Any], Row[Any] | None] | None:
    """The two layers and the one below them, if they still can be merged and are held as they must be."""
    lower, upper = rows.get(tx, lower_id), rows.get(tx, upper_id)
    if lower is None or upper is None or rows.is_named(tx, lower_id) or (lower.state, upper.state) != ("live", "live"):
        return None
    if [child.id for child in rows.children(tx, lower_id)] != [upper_id]:
        return None
    written = rows.volume_of(tx, upper_id)
    if (None if written is None else written.name) != volume or (written is not None and written.next_layer_id):
        return None
    return lower, upper, None if lower.parent_id is None else rows.get(tx, lower.parent_id)


def _close_gap(tx: Tx, lower: Row[Any], upper_id: str) -> None:
    rows.change(tx, upper_id, parent_id=lower.parent_id)
    rows.change(tx, lower.id, state="removing")


def _stand_in(tx: Tx, pool: str, volume: str, lower_id: str, upper: Row[Any]) -> None:
    rows.change_disk(tx, pool, volume, layer_id=lower_id)
    rows.change(tx, lower_id, size=upper.size)
    rows.change(tx, upper.id, state="removing")


async def flatten(layers: Layers, volume: Row[Any], live: FindLive) -> None:
    """Make a volume's top layer stand alone. The disk is held."""
    path = layers.head(volume)
    async with layers.hold_layer(volume.layer_id) as lock:
        disk = await live()
        if disk is not None:
            await disk.pull(None, no_progress)
        elif await in_thread(files.in_use, path):
            raise Passing("The volume is open in a QEMU that cannot be asked now.")
        else:
            chain = await layers.db.read(lambda tx: rows.chain(tx, volume.layer_id))
            await stream.pull([layers.path(row) for row in chain], None, fds=[lock])
            await in_thread(files.sync, path)
        await layers.db.write(lambda tx: rows.change(tx, volume.layer_id, parent_id=None))
