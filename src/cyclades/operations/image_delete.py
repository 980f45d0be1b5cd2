"""Delete an image. It is gone for its users, and no longer counts, as soon as this is accepted; its bytes follow.

Operations that began before it (volumes being made from it) still find the bytes: the deletion waits for them.
Volumes that were made from it live on: their pool keeps what they share.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Away, Forbidden
from cyclades.model.names import image_disk
from cyclades.operations import image_file, image_mapping
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.live import find_live
from cyclades.pools.base import at_rest
from cyclades.store import image_members, image_uploads, images, messages, quotas, snapshots
from cyclades.store.database import Tx
from cyclades.store.schema import now


class Args(msgspec.Struct):
    """`file` is None for an image without data; `volume_id` is the volume that it was made of where that lies."""

    image_id: str
    file: str | None
    volume_id: str | None = None


def start(tx: Tx, caller: Caller, image_id: str) -> list[str]:
    """Accept the deletion. One that is under way in an upload ends that. Returns the snapshots that stay of an image of
    volumes."""
    row = images.hold(tx, caller, image_id)
    if row.protected:
        raise Forbidden("image-protected", f"Image {row.id} is protected and cannot be deleted.")
    ended = image_uploads.remove(tx, row.id)
    file, counted = ended or (row.file, row.size or 0)
    op_id = new_id()
    image_members.remove_all(tx, row.id)
    images.change(tx, row.id, status="deleted", deleted_at=now(), file=file, operation_id=op_id)
    quotas.give_back(tx, row.project_id, {quota.IMAGES: 1, **quota.of_image(counted)})
    args = Args(row.id, file, row.volume_id)
    submit(tx, caller, OPERATION, args, resource_kind="image", resource_id=row.id, op_id=op_id)
    return _say_what_stays(tx, caller, row)


def _say_what_stays(tx: Tx, caller: Caller, row: Row[Any]) -> list[str]:
    """The snapshots that an image of volumes was made of outlive it: a message says which, so that they can be deleted,
    too."""
    named = [snapshots.find(tx, snapshot_id, row.project_id) for snapshot_id in image_mapping.snapshots_of(row)]
    staying = [snapshot.id for snapshot in named if snapshot is not None]
    if staying:
        text = f"Image {row.id} was deleted. The snapshots that it was made of stay: {', '.join(staying)}."
        messages.add(
            tx,
            "image",
            row.id,
            text,
            operation=OPERATION.kind,
            request_id=caller.request_id,
            project_id=row.project_id,
        )
    return staying


async def wait_for_users(work: Work[Args]) -> None:
    used = await work.world.db.read(lambda tx: images.used_by(tx, work.args.image_id, besides=work.id))
    if used:
        raise Away("Operations that began earlier still need the image.")


async def remove_file(work: Work[Args]) -> None:
    if work.args.file is not None:
        path = image_file.path_of(work.world.settings, work.args.file)
        await asyncio.to_thread(image_file.remove, path)


async def remove_from_pools(work: Work[Args]) -> None:
    """After the file: whoever imports it still looks for the file afterwards (`image_in_pool`)."""
    live = at_rest if work.args.volume_id is None else find_live(work.world, work.args.volume_id)
    for pool in work.world.own_pools.values():
        await pool.delete(image_disk(work.args.image_id), live)


def done(tx: Tx, work: Work[Args]) -> None:
    images.change(tx, work.args.image_id, operation_id=None, file=None)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """The image shows and counts again, so that it can be deleted once more. Nothing else can be done with it."""
    row = images.hold_even_deleted(tx, work.args.image_id)
    images.change(tx, row.id, status="pending_delete", deleted_at=None, operation_id=None)
    quotas.count(tx, row.project_id, {quota.IMAGES: 1, **quota.of_image(row.size or 0)})


OPERATION = Operation(
    kind="image_delete",
    args=Args,
    steps=(
        Step("wait_for_users", wait_for_users, final=True),
        Step("remove_file", remove_file, final=True),
        Step("remove_from_pools", remove_from_pools, final=True),
    ),
    done=done,
    failed=failed,
)
