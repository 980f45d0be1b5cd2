"""Overwrite a volume with an image. It keeps its id, its size and its snapshots; what it held is lost."""

from __future__ import annotations

import msgspec

from cyclades.model import capabilities
from cyclades.model.caller import Caller
from cyclades.model.errors import Invalid
from cyclades.model.names import image_disk, volume_disk
from cyclades.model.units import GIB
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.image_in_pool import ensure_in_pool, require
from cyclades.operations.new_volume import least_size
from cyclades.store import images, volumes
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    """`size` is GiB; `status` is the volume's before."""

    volume_id: str
    image_id: str
    pool: str
    size: int
    status: str


def start(tx: Tx, caller: Caller, volume_id: str, image_id: str, *, reserved: bool) -> None:
    """Accept it. `reserved` allows a volume that a client has reserved. Its status is `downloading`, then what it
    was; one in error is `available`."""
    row = volumes.get(tx, volume_id, caller.scope)
    image = images.usable(tx, caller, image_id)
    capabilities.require_pool(row.pool, "a new content")
    if (least := least_size(image)) > row.size:
        raise Invalid(
            "reimage-size",
            f"Image {image.id} needs {least} GiB, volume {row.id} has {row.size}: extend it first.",
            field="image_id",
        )
    require(tx, caller, image, row.pool)
    op_id = new_id()
    action = "reimage_reserved" if reserved else "reimage"
    volumes.begin(tx, row, action, status="downloading", op_id=op_id)
    args = Args(row.id, image.id, row.pool, row.size, row.status)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)


async def fetch(work: Work[Args]) -> None:
    await ensure_in_pool(work.world, work.args.pool, work.args.image_id, work.progress)


async def overwrite(work: Work[Args]) -> None:
    args = work.args
    await work.record(begun=True)
    pool, disk, image = work.world.pools[args.pool], volume_disk(args.volume_id), image_disk(args.image_id)
    if await pool.find(disk) is None:  # of a volume in error that never had one
        await pool.clone(disk, image, args.size * GIB)
    else:
        await pool.revert(disk, image, work.still)


def done(tx: Tx, work: Work[Args]) -> None:
    image = images.get_even_deleted(tx, work.args.image_id)
    volumes.finish(
        tx,
        work.args.volume_id,
        work.id,
        status="available" if work.args.status == "error" else work.args.status,
        bootable=True,
        image_id=image.id,
        image_metadata=images.as_volume_metadata(image),
    )


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """What the volume holds now is not known, once the pool was asked; the same or another image may help."""
    status = "error" if work.data.get("begun") else work.args.status
    volumes.finish(tx, work.args.volume_id, work.id, status=status, reason=reason)


OPERATION = Operation(
    kind="volume_reimage",
    args=Args,
    steps=(Step("fetch", fetch), Step("overwrite", overwrite, final=True)),
    done=done,
    failed=failed,
)
