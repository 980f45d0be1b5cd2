"""Cards: what a pool tells the nodes of Ganeti clusters about a volume's disk.

`cards/<disk>.json` says which layer is the disk's top, how large the disk may be, and who may have it. The ExtStorage
provider on the nodes (`ganeti/extstorage/cyclades`) hands the disk to nobody else. It *binds* the disk to the disk of
Ganeti's that asks first, in `cards/<disk>.<generation>.bound`, so that only that one gets it by this attachment.

A disk has a card from the first claim on that asks for one. From then on it is kept true: while somebody has the
disk, it is written before the books, so that no node ever opens a layer that is not the volume's. Who calls `write` or
`renew` holds the disk.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from cyclades import flocks
from cyclades.model.errors import Passing
from cyclades.pools.qcow2 import files
from cyclades.pools.qcow2.layers import Layers, in_thread

_NEW = ".new"  # ends the name of a file that is being made, here and by the provider
_FILE = re.compile(r"(?P<disk>.+?)\.(?P<what>json|(?P<generation>\d+)\.bound)(?:\..*)?")


async def exists(layers: Layers, disk: str) -> bool:
    return await in_thread(_card(layers, disk).exists)


async def write(layers: Layers, volume: Row[Any], *, layer: Path | None = None, size: int | None = None) -> None:
    """Make the card tell what the books do of the volume; `layer` and `size` (bytes) are what they will tell next."""
    await in_thread(_replace, _card(layers, volume.name), _text(layers, volume, layer=layer, size=size))


async def renew(layers: Layers, disk: str, *, layer: Path | None = None, size: int | None = None) -> None:
    """`write`, if the disk has a card."""
    if await exists(layers, disk):
        volume = await layers.find(disk)
        if volume is not None:
            await write(layers, volume, layer=layer, size=size)


async def drop(layers: Layers, volume: Row[Any]) -> None:
    """The disk is nobody's, and goes away or gets another name."""
    await in_thread(_card(layers, volume.name).unlink, missing_ok=True)
    await unbind(layers, volume)


async def bind(layers: Layers, volume: Row[Any], machine_disk: str) -> None:
    """What the provider does when a machine adds the disk, for one that has it already."""
    await in_thread(_replace, _bound(layers, volume.name, volume.generation), machine_disk + "\n")


async def unbind(layers: Layers, volume: Row[Any]) -> None:
    """Let another disk of Ganeti's be the first, or nobody, where the card names none."""
    await in_thread(_bound(layers, volume.name, volume.generation).unlink, missing_ok=True)


async def require_closed(layers: Layers, volume: Row[Any]) -> None:
    """The proof that no node has the disk any more. `Passing` if one has."""
    path = layers.head(volume)
    if await in_thread(lambda: path.exists() and files.in_use(path)):
        raise Passing("The volume's disk is still open on a node.")


async def tidy(layers: Layers) -> list[str]:
    """Cards that crashes left untrue, and files of disks or attachments that are no more. Returns a line for each."""
    found = await in_thread(lambda: sorted(layers.files.cards.iterdir()))
    done = []
    for disk in sorted({match["disk"] for path in found if (match := _FILE.fullmatch(path.name))}):
        try:
            async with layers.hold_disk(disk, patience=0):
                volume = await layers.find(disk)
                if volume is None and await in_thread(_has_layer, layers, disk):
                    continue  # older books were restored, and it is newer
                for path in found:
                    match = _FILE.fullmatch(path.name)
                    if match and match["disk"] == disk:
                        done += await in_thread(_tidy_one, layers, path, match, volume)
                if volume is None:
                    flocks.forget(layers.files.disk_lock(disk))
        except Passing:
            continue  # somebody is about to use it
    return done


def _tidy_one(layers: Layers, path: Path, match: re.Match[str], volume: Row[Any] | None) -> list[str]:
    if path == _card(layers, match["disk"]) and volume is not None:
        text = _text(layers, volume)
        if not path.exists() or path.read_text() == text:
            return []
        _replace(path, text)
        return [f"wrote card {path.name} anew"]
    if volume is not None and volume.owner is not None and path == _bound(layers, volume.name, volume.generation):
        return []
    path.unlink(missing_ok=True)
    return [f"removed file {path.name}"]


def _has_layer(layers: Layers, disk: str) -> bool:
    """Whether the layer is there that the disk's card names."""
    try:
        card = json.loads(_card(layers, disk).read_text())
        return (layers.files.layers / Path(card["layer"]).name).exists()
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return False


def _card(layers: Layers, disk: str) -> Path:
    return layers.files.cards / f"{disk}.json"


def _bound(layers: Layers, disk: str, generation: int) -> Path:
    return layers.files.cards / f"{disk}.{generation}.bound"


def _text(layers: Layers, volume: Row[Any], *, layer: Path | None = None, size: int | None = None) -> str:
    card = {
        "disk": volume.name,
        "layer": (layer or layers.head(volume)).name,
        "size": size or volume.size,
        "owner": volume.owner,
        "generation": volume.generation,
    }
    return json.dumps(card) + "\n"


def _replace(path: Path, text: str) -> None:
    """Whole and on the disk when this returns."""
    new = path.with_name(path.name + _NEW)
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    files.sync(path.parent)
