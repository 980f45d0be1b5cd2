"""Make an image from a volume. In use, the image is what a crash at that moment would leave.

The volume is read through a passing snapshot, so that nothing written later gets into the image. The image's row names
its file from the beginning: it is the operation's until the image is `active`.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import msgspec

from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Away, Failed, OverQuota, Passing, TooLarge
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.model.status import VOLUME_ACTIONS, wrong_status
from cyclades.model.units import GIB
from cyclades.operations import image_create, image_file
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.image_file import Written
from cyclades.operations.live import find_live, require_freezable
from cyclades.store import images, operations, quotas, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Args(msgspec.Struct):
    """`size` is the volume's, in GiB, `status` what it was before; `counted` are the bytes that the image counts so
    far."""

    volume_id: str
    pool: str
    size: int
    status: str
    copy_id: str
    image_id: str
    file: str
    disk_format: str
    counted: int


def start(
    tx: Tx, caller: Caller, settings: Settings, volume_id: str, wanted: image_create.Wanted, *, in_use: bool
) -> str:
    """Accept it; returns the image's id. `in_use` allows a volume that is plugged into a server."""
    row = volumes.get(tx, volume_id, caller.scope)
    allowed = VOLUME_ACTIONS["upload"] if in_use else {"available"}
    if row.status not in allowed:
        raise wrong_status("volume", "upload", allowed, row.status)
    capabilities.require_pool(row.pool, "copies as images")
    require_freezable(tx, settings, row)
    op_id = new_id()
    volumes.begin(tx, row, "upload", status="uploading", op_id=op_id)
    image_id = image_create.start(tx, caller, settings, wanted)
    file = f"{image_id}.{secrets.token_hex(4)}"
    images.change(tx, image_id, status="saving", file=file, operation_id=op_id)
    # A raw file is as large as the volume; of a qcow2 it shows when it is written.
    counted = row.size * GIB if wanted.disk_format == "raw" else 0
    if counted > settings.limits.image_bytes:
        raise TooLarge("image-size", f"An image's file has at most {settings.limits.image_bytes} bytes.")
    quotas.take(tx, settings.quotas, caller.project_id, quota.of_image(counted))
    assert wanted.disk_format is not None
    args = Args(row.id, row.pool, row.size, row.status, new_id(), image_id, file, wanted.disk_format, counted)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)
    return image_id


async def freeze(work: Work[Args]) -> None:
    args = work.args
    live = find_live(work.world, args.volume_id)
    await work.world.pools[args.pool].snapshot(volume_disk(args.volume_id), snapshot_disk(args.copy_id), live)


async def thaw(work: Work[Args]) -> None:
    args = work.args
    await work.world.pools[args.pool].delete(snapshot_disk(args.copy_id), find_live(work.world, args.volume_id))


async def write(work: Work[Args]) -> None:
    args = work.args
    path = image_file.path_of(work.world.settings, args.file)
    try:
        await work.world.pools[args.pool].export(snapshot_disk(args.copy_id), path, args.disk_format, work.progress)
    except Passing as busy:
        # A program that outlived its engine still writes, for as long as that takes.
        raise Away(str(busy)) from busy


async def unwrite(work: Work[Args]) -> None:
    await asyncio.to_thread(image_file.remove, image_file.path_of(work.world.settings, work.args.file))


async def read(work: Work[Args]) -> None:
    """What is told of the file, and its quota."""
    written = await image_file.digest(image_file.path_of(work.world.settings, work.args.file), work.progress)
    most = work.world.settings.limits.image_bytes
    if written.size > most:
        raise Failed(f"The image's file would have {written.size} bytes; at most {most} are allowed.")
    try:
        work.data.update(await work.world.db.write(lambda tx: _count(tx, work, written)))
    except OverQuota as refusal:
        raise Failed(refusal.message) from refusal


def _count(tx: Tx, work: Work[Args], written: Written) -> dict[str, Any]:
    """Returns what is recorded of it."""
    row = images.hold_even_deleted(tx, work.args.image_id)
    if row.operation_id != work.id:
        raise Failed("The image was deleted before it was whole.")
    counted = _counted(work)
    if written.size > counted:
        quotas.take(tx, work.world.settings.quotas, row.project_id, quota.of_image(written.size - counted))
    found = {"size": written.size, "checksum": written.checksum, "hash_value": written.hash_value}
    data = {**work.data, **found, "counted": max(counted, written.size)}
    operations.record(tx, work.id, work.token, data=data)
    return data


def _counted(work: Work[Args]) -> int:
    counted: int = work.data.get("counted", work.args.counted)
    return counted


def done(tx: Tx, work: Work[Args]) -> None:
    row = images.hold_even_deleted(tx, work.args.image_id)
    if row.operation_id == work.id:
        size = work.data["size"]
        images.change(
            tx,
            row.id,
            status="active",
            operation_id=None,
            size=size,
            virtual_size=work.args.size * GIB,
            checksum=work.data["checksum"],
            os_hash_value=work.data["hash_value"],
        )
        quotas.give_back(tx, row.project_id, quota.of_image(_counted(work) - size))
    else:  # its deletion takes the file with it
        quotas.give_back(tx, row.project_id, quota.of_image(_counted(work)))
    volumes.finish(tx, work.args.volume_id, work.id, status=work.args.status)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """The volume is as it was, and there is no image; a message says why."""
    row = images.hold_even_deleted(tx, work.args.image_id)
    if row.operation_id == work.id:
        images.change(tx, row.id, status="deleted", deleted_at=now(), file=None, operation_id=None)
        quotas.give_back(tx, row.project_id, {quota.IMAGES: 1})
    quotas.give_back(tx, row.project_id, quota.of_image(_counted(work)))
    volumes.finish(tx, work.args.volume_id, work.id, status=work.args.status)


OPERATION = Operation(
    kind="volume_upload",
    args=Args,
    steps=(
        Step("freeze", freeze, undo=thaw),
        Step("write", write, undo=unwrite),
        Step("read", read),
        Step("thaw", thaw),
    ),
    done=done,
    failed=failed,
)
