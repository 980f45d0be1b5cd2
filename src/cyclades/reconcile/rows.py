"""What operations left behind in the database: rows that are on their way, and nobody is at work on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model.errors import WrongState
from cyclades.model.status import (
    SERVER_TRANSITIONAL,
    SNAPSHOT_TRANSITIONAL,
    VOLUME_TRANSITIONAL,
)
from cyclades.operations import server_reset, snapshot_reset, volume_reset
from cyclades.operations.base import World
from cyclades.reconcile.difference import Accept, CallerFor, Difference, Mending, touched
from cyclades.store import attachments, operations, servers
from cyclades.store.database import Tx
from cyclades.store.schema import attachment, operation, server, snapshot, volume


async def look(world: World, tables: tuple[sa.Table, ...]) -> list[Difference]:
    """Of these tables: `server` and `attachment`, or `volume` and `snapshot`."""
    return await world.db.read(lambda tx: [found for table in tables for found in _of(tx, table)])


OF_SERVERS = (server, attachment)
OF_VOLUMES = (volume, snapshot)


def _transitional(table: sa.Table) -> sa.ColumnElement[bool]:
    if table is server:
        return sa.or_(server.c.status.in_(SERVER_TRANSITIONAL), server.c.task_state.is_not(None))
    if table is attachment:
        return sa.and_(attachment.c.server_id.is_not(None), attachment.c.status != "attached")
    statuses = VOLUME_TRANSITIONAL if table is volume else SNAPSHOT_TRANSITIONAL
    return sa.and_(table.c.status.in_(statuses), table.c.held_since.is_(None))


def _of(tx: Tx, table: sa.Table) -> Iterator[Difference]:
    mine = table.c.operation_id
    is_open = sa.select(operation.c.id).where(operation.c.id == mine, operation.c.ended_at.is_(None)).exists()
    left = sa.or_(sa.and_(mine.is_not(None), ~is_open), sa.and_(mine.is_(None), _transitional(table)))
    for row in tx.execute(sa.select(table).where(table.c.deleted_at.is_(None), left)).all():
        found = "no operation is at work on it"
        if row.operation_id is not None:
            found = f"operation {row.operation_id} is at work on it no more"
        resource = f"{table.name} {row.id}"
        status = row.status if table is not server or row.task_state is None else f"{row.status}, {row.task_state}"
        mending = Mending("operation-stuck", _accept(table, row))
        yield Difference("operation-stuck", resource, "database", status, found, mendings=(mending,))


def _accept(table: sa.Table, row: Row[Any]) -> Accept:
    def accept(tx: Tx, settings: Settings, caller: CallerFor) -> None:
        now_there = tx.execute(sa.select(table).where(table.c.id == row.id).with_for_update()).one()
        if (now_there.operation_id, now_there.status) != (row.operation_id, row.status):
            raise touched(f"{table.name} {row.id}")
        if row.operation_id is not None:
            owner = operations.get(tx, row.operation_id)
            if owner is not None and owner.ended_at is None:
                raise touched(f"{table.name} {row.id}")
        _MEND[table.name](tx, caller, row)

    return accept


def _server(tx: Tx, caller: CallerFor, row: Row[Any]) -> None:
    """As its backend last showed it; what is not so is another difference."""
    servers.change(tx, row.id, operation_id=None)
    try:
        server_reset.start(tx, caller(row.project_id), row.id, error=False)
    except WrongState:
        server_reset.start(tx, caller(row.project_id), row.id, error=True)


def _attachment(tx: Tx, caller: CallerFor, row: Row[Any]) -> None:
    """It counts as made; if nothing is plugged in, that is another difference."""
    attachments.change(tx, row.id, operation_id=None, status="attached")


def _volume(tx: Tx, caller: CallerFor, row: Row[Any]) -> None:
    status = "in-use" if attachments.of_volume(tx, row.id) else "available"
    volume_reset.start(tx, caller(row.project_id), row.id, status=status)


def _snapshot(tx: Tx, caller: CallerFor, row: Row[Any]) -> None:
    snapshot_reset.start(tx, caller(row.project_id), row.id, "available")


_MEND = {"server": _server, "attachment": _attachment, "volume": _volume, "snapshot": _snapshot}
