"""Write the file of an image whose bytes lie in a pool alone, for whoever wants to have them elsewhere.

The image's row names the file from the beginning; that it is whole shows by its checksum.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.model.caller import Caller
from cyclades.model.errors import Away, Passing
from cyclades.model.names import image_disk
from cyclades.operations import image_file
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.store import images
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    image_id: str
    pool: str
    file: str
    disk_format: str


def is_due(image: Row[Any]) -> bool:
    """Whether the image's bytes lie in a pool alone."""
    return image.pool is not None and image.file is not None and image.checksum is None


def start(tx: Tx, caller: Caller, image_id: str) -> str | None:
    """Ask for the file; returns the operation that writes it, also if it was asked for before. None: it is there, or
    there is nothing to write."""
    row = images.hold_even_deleted(tx, image_id)
    if not is_due(row) or row.deleted_at is not None:
        return None
    if row.operation_id is not None:
        return str(row.operation_id)
    op_id = new_id()
    images.change(tx, row.id, operation_id=op_id)
    args = Args(row.id, row.pool, row.file, row.disk_format)
    submit(tx, caller, OPERATION, args, resource_kind="image", resource_id=row.id, op_id=op_id)
    return op_id


async def write(work: Work[Args]) -> None:
    args = work.args
    path = image_file.path_of(work.world.settings, args.file)
    await work.still()
    try:
        await work.world.pools[args.pool].export(image_disk(args.image_id), path, args.disk_format, work.progress)
    except Passing as busy:
        # A program that outlived its engine still writes, for as long as that takes.
        raise Away(str(busy)) from busy


async def unwrite(work: Work[Args]) -> None:
    image_file.remove(image_file.path_of(work.world.settings, work.args.file))


async def read(work: Work[Args]) -> None:
    written = await image_file.digest(image_file.path_of(work.world.settings, work.args.file), work.progress)
    work.data.update(checksum=written.checksum, hash_value=written.hash_value)


def done(tx: Tx, work: Work[Args]) -> None:
    """An image that was deleted meanwhile belongs to its deletion, which takes the file with it."""
    row = images.hold_even_deleted(tx, work.args.image_id)
    if row.operation_id == work.id:
        data = work.data
        images.change(tx, row.id, operation_id=None, checksum=data["checksum"], os_hash_value=data["hash_value"])


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """The image is as it was; a message says why."""
    row = images.hold_even_deleted(tx, work.args.image_id)
    if row.operation_id == work.id:
        images.change(tx, row.id, operation_id=None)


OPERATION = Operation(
    kind="image_write",
    args=Args,
    steps=(Step("write", write, undo=unwrite), Step("read", read)),
    done=done,
    failed=failed,
)
