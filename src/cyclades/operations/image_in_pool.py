"""How an image gets into a pool: by the first volume there that is made from it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.model.caller import Caller
from cyclades.model.errors import Away, Failed, Invalid
from cyclades.model.names import image_disk
from cyclades.operations import image_file, image_write
from cyclades.operations.base import World
from cyclades.pools.base import Progress, no_progress
from cyclades.store import images
from cyclades.store.database import Tx


def require(tx: Tx, caller: Caller, image: Row[Any], pool_name: str) -> None:
    """To be called when an operation is accepted that wants the image in this pool. `Invalid` if it has no bytes."""
    if not image.size:
        raise Invalid("image-without-bytes", f"Image {image.id} has no bytes that a volume could be made from.")
    if image.pool != pool_name:
        image_write.start(tx, caller, image.id)


async def file_of(world: World, image_id: str) -> Row[Any]:
    """The row of an image whose file is there. `Away` while its bytes are brought from a pool."""
    row = await world.db.read(lambda tx: images.get_even_deleted(tx, image_id))
    if row.file is None:
        raise _gone(image_id)
    if image_write.is_due(row):
        if row.operation_id is None:
            raise Failed(f"The bytes of image {image_id} could not be brought from pool {row.pool}.")
        raise Away("Waits until the image's bytes are brought from another pool.")
    return row


def _gone(image_id: str) -> Failed:
    return Failed(f"Image {image_id} was deleted.")


async def ensure_in_pool(world: World, pool_name: str, image_id: str, progress: Progress = no_progress) -> None:
    """Have the disk `image_disk(image_id)` in the pool. Repeatable, also at the same time. `Failed` if the image was
    deleted: its deletion waits for operations that were accepted before it, so that only one whose lease ran
    out meets this."""
    pool, disk = world.pools[pool_name], image_disk(image_id)
    if await pool.find(disk) is not None:
        return
    row = await file_of(world, image_id)
    gone = _gone(image_id)
    source = image_file.path_of(world.settings, row.file)
    try:
        await pool.import_image(disk, source, row.disk_format, progress)
    except (Failed, FileNotFoundError):
        if not source.exists():
            raise gone from None
        raise
    # A deletion removes the file first and the disk after it: either this finds no file, or that finds the disk.
    if not source.exists():
        await pool.delete(disk)
        raise gone
