"""Keypairs as rows: the public halves. They belong to users, not to projects."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.errors import Conflict, NotFound
from cyclades.store.database import Tx
from cyclades.store.schema import keypair, now


def add(tx: Tx, user_id: str, name: str, *, public_key: str, fingerprint: str) -> None:
    if _find(tx, user_id, name) is not None:
        raise Conflict("keypair-name", f"Key pair '{name}' already exists.", field="name")
    values = {"user_id": user_id, "name": name, "public_key": public_key, "fingerprint": fingerprint}
    tx.execute(keypair.insert(), {**values, "created_at": now()})


def get(tx: Tx, user_id: str, name: str) -> Row[Any]:
    row = _find(tx, user_id, name)
    if row is None:
        raise NotFound("keypair", name)
    return row


def _find(tx: Tx, user_id: str, name: str) -> Row[Any] | None:
    wanted = sa.and_(keypair.c.user_id == user_id, keypair.c.name == name)
    return tx.execute(sa.select(keypair).where(wanted)).one_or_none()


def of_user(tx: Tx, user_id: str, *, after: str | None, limit: int) -> list[Row[Any]]:
    """By name; at most `limit`, those after the name `after`."""
    found = sa.select(keypair).where(keypair.c.user_id == user_id).order_by(keypair.c.name).limit(limit)
    if after is not None:
        found = found.where(keypair.c.name > after)
    return list(tx.execute(found).all())


def count(tx: Tx, user_id: str) -> int:
    number: int = tx.execute(sa.select(sa.func.count()).where(keypair.c.user_id == user_id)).scalar_one()
    return number


def remove(tx: Tx, user_id: str, name: str) -> None:
    tx.execute(keypair.delete().where(keypair.c.user_id == user_id, keypair.c.name == name))
