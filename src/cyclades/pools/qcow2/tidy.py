"""What crashes left half done, and merges that were not possible earlier."""

from __future__ import annotations

from cyclades import flocks
from cyclades.model.errors import Passing
from cyclades.pools.base import Stranger, at_rest
from cyclades.pools.qcow2 import cards, files, header
from cyclades.pools.qcow2.layers import Layers, in_thread
from cyclades.pools.qcow2.merge import prune
from cyclades.store import layers as rows


async def tidy(layers: Layers) -> list[str]:
    """Returns what was done, one line each."""
    done = await finish_removals(layers)
    for part in (_prune_loose, cards.tidy, _remains):
        done += await part(layers)
    return done


async def finish_removals(layers: Layers, *, most_children: int = 0) -> list[str]:
    """Layers that were being removed, and those without name or child."""
    done = []
    for layer_id in await layers.db.read(lambda tx: rows.ids(tx, layers.pool, "removing")):
        await layers.drop(layer_id)
        done.append(f"removed layer {layer_id}")
    for layer_id in await layers.db.read(lambda tx: rows.loose(tx, layers.pool, most_children=most_children)):
        done += await prune(layers, layer_id, at_rest)
    return done


async def _prune_loose(layers: Layers) -> list[str]:
    return await finish_removals(layers, most_children=1)


async def strangers(layers: Layers) -> list[Stranger]:
    """Layers that no row names. No crash leaves one: a row is there before its file and goes after it. So: first the
    files."""
    found = await in_thread(lambda: [path for path in layers.files.layers.iterdir() if path.suffix != files.NEW])
    known = await layers.db.read(lambda tx: rows.ids(tx, layers.pool))
    unknown = sorted(path for path in found if path.stem not in known)
    return await in_thread(lambda: [Stranger(path.name, files.used(path), header.below(path)) for path in unknown])


async def _remains(layers: Layers) -> list[str]:
    """Files that were being made, and locks of what is no more."""
    found = await in_thread(lambda: (list(layers.files.layers.iterdir()), layers.files.lock_files()))
    known = await layers.db.read(lambda tx: rows.ids(tx, layers.pool))
    making = await layers.db.read(lambda tx: rows.ids(tx, layers.pool, "making"))
    names = {row.name for row in await layers.db.read(lambda tx: rows.disks(tx, layers.pool))}
    done = []
    for path in found[0]:
        if path.suffix == files.NEW and path.name.partition(".")[0] not in making:
            await in_thread(path.unlink, missing_ok=True)
            done.append(f"removed file {path.name}")
    for path in found[1]:
        kind, _, name = path.name.partition("-")
        if name not in (names if kind == "disk" else known):
            try:
                async with flocks.hold(path, patience=0):
                    flocks.forget(path)
            except Passing:
                continue  # somebody is about to use it
    return done
