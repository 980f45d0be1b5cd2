"""How operations take turns.

On one server: attaching and detaching different volumes go side by side. What starts, stops or ends the server waits
until every operation that was accepted before it has ended: the older one never waits for the newer, so nobody waits
in a circle.

On one volume or snapshot there is one operation at a time. What an admin wants by all means asks the one that has it
to turn back (`ask_to_end`), and takes it when that has ended (`until_free`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import sqlalchemy as sa

from cyclades.model.errors import Away, WrongState
from cyclades.operations.base import Work
from cyclades.store import operations
from cyclades.store.database import Tx
from cyclades.store.schema import attachment, operation

_AT_ONCE = 1.0  # seconds that a step waits before it makes room for other operations


def others(tx: Tx, server_id: str) -> list[Any]:
    """Open operations on the server or on what is plugged into it, oldest first: `id`, `kind`, `created_at`."""
    plugging = sa.select(attachment.c.operation_id).where(
        attachment.c.server_id == server_id, attachment.c.deleted_at.is_(None), attachment.c.operation_id.is_not(None)
    )
    wanted = sa.select(operation.c.id, operation.c.kind, operation.c.created_at).where(
        sa.or_(operation.c.resource_id == server_id, operation.c.id.in_(plugging)), operation.c.ended_at.is_(None)
    )
    return list(tx.execute(wanted.order_by(operation.c.created_at, operation.c.id)).all())


async def wait_for_turn(work: Work[Any], server_id: str) -> None:
    """Return when all older operations on the server have ended."""
    await until_free(work, lambda: work.world.db.read(lambda tx: _older(tx, work.id, server_id)))


async def until_free(work: Work[Any], look: Callable[[], Awaitable[str | None]]) -> None:
    """Return once `look`, which is asked again whenever an operation ends, no longer says what must end first; `Away`
    (to be tried again) if that takes longer."""
    ended = asyncio.Event()
    stop_listening = work.world.db.listen("ended", ended.set)
    try:
        deadline = asyncio.get_running_loop().time() + _AT_ONCE
        while True:
            ended.clear()
            first = await look()
            if first is None:
                return
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise Away(f"Waits until {first} has ended.")
            try:
                async with asyncio.timeout(left):
                    await ended.wait()
            except TimeoutError:
                continue
    finally:
        stop_listening()


def _older(tx: Tx, op_id: str, server_id: str) -> str | None:
    for row in others(tx, server_id):
        if row.id == op_id:
            return None
        if row.kind != "server_console":  # which changes nothing
            return f"the server's {row.kind}"
    return None


async def wait_for_users(work: Work[Any], resource_id: str) -> None:
    """Return when all older operations that were told of a resource, as what they work from, have ended."""
    await until_free(work, lambda: work.world.db.read(lambda tx: _older_user(tx, work.id, resource_id)))


def _older_user(tx: Tx, op_id: str, resource_id: str) -> str | None:
    told = sa.cast(operation.c.args, sa.Text).contains(resource_id)
    mine = operation.alias("mine")
    older = sa.or_(
        operation.c.created_at < mine.c.created_at,
        sa.and_(operation.c.created_at == mine.c.created_at, operation.c.id < mine.c.id),
    )
    found = (
        sa.select(operation.c.kind, operation.c.id)
        .join(mine, mine.c.id == op_id)
        # One on the resource itself is no user: it may be waiting for its turn, behind who asks here.
        .where(operation.c.ended_at.is_(None), operation.c.resource_id != resource_id, told, older)
    )
    row = tx.execute(found.limit(1)).first()
    return None if row is None else f"the {row.kind} that was asked for earlier"


def supersede(tx: Tx, resource_id: str, kinds: Collection[str]) -> None:
    """Ask the operations of these kinds on a resource to turn back, also those that still wait for it: what was wanted
    last is what counts."""
    for other in operations.open_ones(tx, resource_id=resource_id):
        if other.kind in kinds:
            operations.cancel(tx, other.id)


def ask_to_end(tx: Tx, row: Any, *, unless: Collection[str] = ()) -> bool:
    """Ask the operation that has a volume or a snapshot to turn back, unless it is of a kind that is wanted to go on.
    False if it has ended, and should not have the row any more. `WrongState` if it is a server's: the server would
    not come to be."""
    owner = operations.get(tx, row.operation_id)
    if owner is None or owner.ended_at is not None:
        return False
    if owner.kind in unless:
        return True
    if owner.resource_kind == "server":
        text = (
            f"Server {owner.resource_id} is being made or deleted with {row.id}: wait for that, or delete the server."
        )
        raise WrongState("volume-of-a-server", f"Invalid volume: {text}", resource="volume")
    operations.cancel(tx, owner.id)
    return True
