"""Transfers as rows: a volume that is offered to whoever has the key."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import NotFound
from cyclades.store import pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import now, transfer

_ALIVE = transfer.c.deleted_at.is_(None)


def add(tx: Tx, transfer_id: str, **values: Any) -> None:
    tx.execute(transfer.insert(), {"id": transfer_id, "created_at": now(), **values})


def get(tx: Tx, transfer_id: str, scope: str | None) -> Row[Any]:
    """A transfer that the project `scope` (None: any) made, or `NotFound`."""
    return _one(tx, query(scope).where(transfer.c.id == transfer_id), transfer_id)


def hold(tx: Tx, transfer_id: str, scope: str | None) -> Row[Any]:
    """`get`, and until the transaction ends nobody else accepts or ends it."""
    return _one(tx, query(scope).where(transfer.c.id == transfer_id).with_for_update(), transfer_id)


def _one(tx: Tx, found: sa.Select[Any], transfer_id: str) -> Row[Any]:
    row = tx.execute(found).one_or_none()
    if row is None:
        raise NotFound("transfer", transfer_id)
    return row


def query(scope: str | None) -> sa.Select[Any]:
    """All transfers that a project made (None: all), to be filtered and paged."""
    found = sa.select(transfer).where(_ALIVE)
    return found if scope is None else found.where(transfer.c.project_id == scope)


def page(tx: Tx, found: sa.Select[Any], wanted: Page, scope: str | None) -> Rows:
    """A page of `found`, which is `query(scope)` and more."""
    among = sa.true() if scope is None else transfer.c.project_id == scope
    return pages.fetch(tx, found, transfer, wanted, among=among)


def end(tx: Tx, transfer_id: str, **values: Any) -> None:
    """It was accepted, or taken back."""
    moment = now()
    tx.execute(
        transfer.update().where(transfer.c.id == transfer_id).values(deleted_at=moment, updated_at=moment, **values)
    )


def end_of_volume(tx: Tx, volume_id: str) -> None:
    """The one that a volume may have: the volume is not waiting for it any more."""
    moment = now()
    tx.execute(
        transfer.update().where(transfer.c.volume_id == volume_id, _ALIVE).values(deleted_at=moment, updated_at=moment)
    )
