"""Extend a volume, at rest or in use: the guest sees the new size, and zeros after the old end."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import capabilities, quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Invalid
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.live import find_live, tell_grown
from cyclades.operations.new_volume import check_size
from cyclades.store import backend_disks, quotas, volumes
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    """Sizes are GiB. `status` is the volume's before and after."""

    volume_id: str
    pool: str
    old_size: int
    new_size: int
    status: str


def start(tx: Tx, caller: Caller, settings: Settings, volume_id: str, new_size: int) -> None:
    """Accept the extension to `new_size` GiB."""
    row = volumes.get(tx, volume_id, caller.scope)
    check_size(settings, new_size)
    _refuse_detached(tx, row)
    op_id = new_id()
    volumes.begin(tx, row, "extend", status="extending", op_id=op_id)
    if new_size <= row.size:
        raise Invalid(
            "extend-smaller",
            f"New size for extend must be greater than current size. (current: {row.size}, extended: {new_size}).",
            field="new_size",
        )
    growth = quota.of_growth(new_size - row.size, type_id=row.volume_type_id, consumes=row.consumes_quota)
    quotas.take(tx, settings.quotas, row.project_id, growth, volume_size=new_size)
    args = Args(row.id, row.pool, row.size, new_size, row.status)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=row.id, op_id=op_id)


def _refuse_detached(tx: Tx, row: Row[Any]) -> None:
    """What Ganeti made and no instance has, it does not grow either."""
    if capabilities.template_of(row.pool) is None or row.status != "available":
        return
    if backend_disks.of_volume(tx, row.id) is not None:
        text = f"Volume {row.id} was made by Ganeti: it is extended while a server has it. Attach it first."
        raise Invalid("extend-detached-template", text)


async def grow(work: Work[Args]) -> None:
    args = work.args
    live, size = find_live(work.world, args.volume_id, work), args.new_size * GIB
    await work.world.pools[args.pool].extend(volume_disk(args.volume_id), size, live)
    await tell_grown(work.world, args.volume_id, size, work)


async def look(work: Work[Args]) -> None:
    """A disk that has grown does not shrink again: what counts is how large it is now."""
    info = await work.world.pools[work.args.pool].find(volume_disk(work.args.volume_id))
    work.data["grown"] = info is not None and info.size >= work.args.new_size * GIB


def done(tx: Tx, work: Work[Args]) -> None:
    volumes.finish(tx, work.args.volume_id, work.id, status=work.args.status, size=work.args.new_size)


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """The volume is as good as before: it goes back to its status, in the size that it has, and a message says why.
    An error only if nobody knows that size."""
    if work.data.get("grown"):
        done(tx, work)
        return
    status = work.args.status if "grown" in work.data else "error_extending"
    row = volumes.get(tx, work.args.volume_id, None)
    if volumes.finish(tx, row.id, work.id, status=status, reason=reason):
        more = work.args.new_size - work.args.old_size
        growth = quota.of_growth(more, type_id=row.volume_type_id, consumes=row.consumes_quota)
        quotas.give_back(tx, row.project_id, growth)


OPERATION = Operation(
    kind="volume_extend",
    args=Args,
    steps=(Step("grow", grow, undo=look),),
    done=done,
    failed=failed,
)
