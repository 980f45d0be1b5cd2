"""What reconciliation saw last; and whose turn it is to look, of all engines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.store.database import Tx
from cyclades.store.schema import difference, look, now

_NAME = "reconcile"


def take_turn(tx: Tx, owner: str, *, lease: int, every: int) -> bool:
    """Whether `owner` may look now, for `lease` µs: nobody else does, and the last look ended `every` µs ago."""
    moment = now()
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(look)
    row = insert.values(name=_NAME, owner=owner, until=moment + lease, unseen={})
    free = sa.or_(look.c.until.is_(None), look.c.until < moment)
    due = sa.or_(look.c.ended_at.is_(None), look.c.ended_at <= moment - every)
    taken = row.on_conflict_do_update(
        index_elements=["name"], set_={"owner": owner, "until": moment + lease}, where=sa.and_(free, due)
    )
    return tx.execute(taken.returning(look.c.name)).first() is not None


def report(
    tx: Tx, owner: str, found: Sequence[Mapping[str, Any]], unseen: Mapping[str, str], places: Collection[str]
) -> bool:
    """What `owner` saw where it looked, in place of what was seen there before, but for what did not answer. False,
    and nothing happens, if it is no longer its turn."""
    moment = now()
    mine = sa.and_(look.c.name == _NAME, look.c.owner == owner)
    ended = look.update().where(mine).values(until=None, ended_at=moment, unseen=dict(unseen))
    if tx.execute(ended).rowcount != 1:
        return False
    known = {(row.kind, row.resource, row.place): row.first_seen_at for row in every(tx)}
    tx.execute(difference.delete().where(difference.c.place.in_(set(places) - set(unseen))))
    for one in found:
        since = known.get((one["kind"], one["resource"], one["place"]), moment)
        insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(difference)
        tx.execute(insert.values(first_seen_at=since, **one).on_conflict_do_nothing())
    return True


def every(tx: Tx) -> list[Row[Any]]:
    """What differed when it was looked at last, the oldest first."""
    order = (difference.c.first_seen_at, difference.c.kind, difference.c.resource, difference.c.place)
    return list(tx.execute(sa.select(difference).order_by(*order)).all())


def last_look(tx: Tx) -> Row[Any] | None:
    """`ended_at`, and what was `unseen`; None if nobody has looked yet."""
    return tx.execute(sa.select(look).where(look.c.name == _NAME, look.c.ended_at.is_not(None))).one_or_none()
