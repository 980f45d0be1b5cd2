"""Delete a disk of a pool that nobody owns."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, WrongState
from cyclades.model.names import image_disk, snapshot_disk, volume_disk
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.store.database import Tx
from cyclades.store.schema import image, snapshot, volume


class Args(msgspec.Struct):
    pool: str
    disk: str


def start(tx: Tx, caller: Caller, pool: str, disk: str) -> None:
    """Accept it, unless the disk is somebody's."""
    if has_owner(tx, pool, disk):
        raise WrongState("disk-owned", f"Disk {disk} belongs to something that exists.", resource="volume")
    op_id = new_id()
    submit(tx, caller, OPERATION, Args(pool, disk), resource_kind="pool", resource_id=op_id, op_id=op_id)


def has_owner(tx: Tx, pool: str, disk: str) -> bool:
    """Whether something that exists has this disk in this pool."""
    of_volume = sa.select(volume.c.id, volume.c.deleted_at).where(volume.c.pool == pool)
    of_snapshot = sa.select(snapshot.c.id, snapshot.c.deleted_at).join(volume, volume.c.id == snapshot.c.volume_id)
    of_image = sa.select(image.c.id, image.c.deleted_at)
    kinds = (
        (volume_disk, of_volume),
        (snapshot_disk, of_snapshot.where(volume.c.pool == pool)),
        (image_disk, of_image),
    )
    for named, query in kinds:
        rows = query.subquery()
        mine = sa.and_(rows.c.id == disk.removeprefix(named("")), rows.c.deleted_at.is_(None))
        if disk.startswith(named("")) and tx.execute(sa.select(rows.c.id).where(mine)).first() is not None:
            return True
    return False


async def delete(work: Work[Args]) -> None:
    async def still() -> None:
        await work.still()
        if await work.world.db.read(lambda tx: has_owner(tx, work.args.pool, work.args.disk)):
            raise Failed("The disk belongs to something that exists.")

    await work.world.pools[work.args.pool].delete(work.args.disk, still=still)


def done(tx: Tx, work: Work[Args]) -> None:
    """There are no rows."""


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """There are no rows."""


OPERATION = Operation(
    kind="pool_disk_delete", args=Args, steps=(Step("delete", delete, final=True),), done=done, failed=failed
)
