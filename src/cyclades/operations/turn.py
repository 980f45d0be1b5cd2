"""How operations on one server take turns.

Attaching and detaching different volumes go side by side. What starts, stops or ends the server waits until every
operation that was accepted before it has ended: the older one never waits for the newer, so nobody waits in a circle.
"""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa

from cyclades.model.errors import Away
from cyclades.operations.base import Work
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
    """Return when all older operations on the server have ended; `Away` (to be tried again) if that takes longer."""
    ended = asyncio.Event()
    stop_listening = work.world.db.listen("ended", ended.set)
    try:
        deadline = asyncio.get_running_loop().time() + _AT_ONCE
        while True:
            ended.clear()
            older = await work.world.db.read(lambda tx: _older(tx, work.id, server_id))
            if older is None:
                return
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise Away(f"Waits until the server's {older} has ended.")
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
            return str(row.kind)
    return None
