"""What was asked for of a server, and of the volumes that were plugged into it: its operations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.store.database import Tx
from cyclades.store.schema import attachment, operation

_PLUGGING = ("volume_attach", "volume_create_attached", "volume_detach")
_WHILE_PLUGGED = ("volume_extend",)  # the guest sees it


def operations_of(tx: Tx, server_id: str) -> list[Row[Any]]:
    """The newest first."""
    plugged = list(tx.execute(sa.select(attachment).where(attachment.c.server_id == server_id)).all())
    ids = {server_id, *(row.volume_id for row in plugged)}
    found = sa.select(operation).where(operation.c.resource_id.in_(ids))
    rows = tx.execute(found.order_by(operation.c.created_at.desc(), operation.c.id)).all()
    return [row for row in rows if _concerns(row, server_id, plugged)]


def _concerns(row: Row[Any], server_id: str, plugged: list[Row[Any]]) -> bool:
    if row.resource_id == server_id:
        return True
    if row.kind in _PLUGGING:
        return bool(row.args["server_id"] == server_id)
    return row.kind in _WHILE_PLUGGED and any(_was_plugged(one, row) for one in plugged)


def _was_plugged(one: Row[Any], row: Row[Any]) -> bool:
    begun = one.volume_id == row.resource_id and one.created_at <= row.created_at
    return begun and (one.deleted_at is None or row.created_at < one.deleted_at)
