"""Take a volume of a pool from a server that it is not attached to: unplug it, and let the pool know."""

from __future__ import annotations

import msgspec

from cyclades.model.caller import Caller
from cyclades.model.errors import Failed, WrongState
from cyclades.model.names import volume_disk
from cyclades.operations import volume_detach
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.operations.server_spec import owner
from cyclades.store import attachments, volumes
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    """`generation` is that of the plug that was seen."""

    server_id: str
    backend: str
    volume_id: str
    pool: str
    generation: int


def start(tx: Tx, caller: Caller, backend: str, server_id: str, volume_id: str, generation: int) -> None:
    """Accept it. The volume's row stays as it is; the server need not exist."""
    kept = volumes.hold(tx, volume_id, None)
    if kept.operation_id is not None or _is_attached(tx, server_id, volume_id):
        raise WrongState("volume-unplug", f"Volume {volume_id} is being attached, or is.", resource="volume")
    op_id = new_id()
    args = Args(server_id, backend, kept.id, kept.pool, generation)
    submit(tx, caller, OPERATION, args, resource_kind="volume", resource_id=kept.id, op_id=op_id)


def _is_attached(tx: Tx, server_id: str, volume_id: str) -> bool:
    return any(one.server_id == server_id for one in attachments.of_volume(tx, volume_id))


async def unplug(work: Work[Args]) -> None:
    args = work.args
    # An attachment that was made since is of a newer generation, which backends leave alone.
    if await work.world.db.read(lambda tx: _is_attached(tx, args.server_id, args.volume_id)):
        raise Failed("The volume has been attached meanwhile.")
    await volume_detach.take_away(work, args)


async def release(work: Work[Args]) -> None:
    args = work.args
    pool = work.world.pools[args.pool]
    await pool.release(volume_disk(args.volume_id), owner(args.backend, args.server_id), args.generation)


def done(tx: Tx, work: Work[Args]) -> None:
    """The rows said so before."""


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """It is as it was."""


OPERATION = Operation(
    kind="volume_unplug",
    args=Args,
    steps=(Step("unplug", unplug, final=True), Step("release", release)),
    done=done,
    failed=failed,
)
