"""Operations as rows: added, claimed under a lease, recorded step by step, ended."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.store.database import Tx
from cyclades.store.schema import now, operation


class LeaseLost(Exception):
    """Another engine has claimed the operation since: what this one did is repeated or dropped there."""


def add(
    tx: Tx,
    op_id: str,
    *,
    kind: str,
    args: dict[str, Any],
    resource_kind: str,
    resource_id: str,
    project_id: str,
    user_id: str,
    request_id: str,
) -> None:
    moment = now()
    tx.execute(
        operation.insert(),
        {
            "id": op_id,
            "kind": kind,
            "args": args,
            "resource_kind": resource_kind,
            "resource_id": resource_id,
            "project_id": project_id,
            "user_id": user_id,
            "request_id": request_id,
            "state": "waiting",
            "direction": "forward",
            "not_before": moment,
            "created_at": moment,
        },
    )


def _claimable(moment: int) -> sa.ColumnElement[bool]:
    free = sa.or_(operation.c.lease_until.is_(None), operation.c.lease_until < moment)
    return sa.and_(operation.c.ended_at.is_(None), operation.c.not_before <= moment, free)


def claim(tx: Tx, owner: str, *, most: int, lease: int) -> list[Row[Any]]:
    """Take up to `most` operations whose time has come, for `lease` µs."""
    moment = now()
    wanted = sa.select(operation.c.id).where(_claimable(moment)).order_by(operation.c.not_before).limit(most)
    ids = tx.execute(wanted.with_for_update(skip_locked=True)).scalars().all()
    if not ids:
        return []
    taken = (
        operation.update()
        .where(operation.c.id.in_(ids))
        .values(
            state="running",
            lease_owner=owner,
            lease_token=operation.c.lease_token + 1,
            lease_until=moment + lease,
            updated_at=moment,
        )
        .returning(operation)
    )
    return list(tx.execute(taken).all())


def waiting(tx: Tx) -> list[Row[Any]]:
    """`number` and `oldest` (when it was asked for) of the operations that have not ended, by `kind` and `phase`:
    queued, put-off (after a try) or running."""
    phase = sa.case(
        (operation.c.state == "running", "running"), (operation.c.attempts > 0, "put-off"), else_="queued"
    ).label("phase")
    number, oldest = sa.func.count().label("number"), sa.func.min(operation.c.created_at).label("oldest")
    wanted = sa.select(operation.c.kind, phase, number, oldest).where(operation.c.ended_at.is_(None))
    return list(tx.execute(wanted.group_by(operation.c.kind, "phase")).all())


def next_due(tx: Tx) -> int | None:
    """When the next open operation could be claimed (µs), or None if there is none."""
    later_of = sa.func.greatest if tx.dialect == "postgresql" else sa.func.max
    due: sa.ColumnElement[int] = later_of(operation.c.not_before, sa.func.coalesce(operation.c.lease_until, 0))
    inner = sa.select(due.label("due")).where(operation.c.ended_at.is_(None)).subquery()
    found: int | None = tx.execute(sa.select(sa.func.min(inner.c.due))).scalar()
    return found


def renew(tx: Tx, owner: str, ids: list[str], *, lease: int) -> None:
    tx.execute(
        operation.update()
        .where(operation.c.id.in_(ids), operation.c.lease_owner == owner, operation.c.ended_at.is_(None))
        .values(lease_until=now() + lease)
    )


def record(tx: Tx, op_id: str, token: int, **values: Any) -> None:
    """Write to an operation under its lease, or raise `LeaseLost`."""
    result = tx.execute(
        operation.update()
        .where(operation.c.id == op_id, operation.c.lease_token == token, operation.c.ended_at.is_(None))
        .values(updated_at=now(), **values)
    )
    if result.rowcount != 1:
        raise LeaseLost(op_id)


def put_off(tx: Tx, op_id: str, token: int, *, seconds: float, **values: Any) -> None:
    """Let go of an operation until later; any engine may take it then."""
    record(
        tx,
        op_id,
        token,
        state="waiting",
        not_before=now() + int(seconds * 1_000_000),
        lease_until=None,
        lease_owner=None,
        **values,
    )


def end(tx: Tx, op_id: str, token: int, *, state: str, reason: str | None) -> None:
    record(tx, op_id, token, state=state, reason=reason, ended_at=now(), lease_until=None, lease_owner=None)
    tx.signal("ended")


def free(tx: Tx, owner: str | None = None) -> None:
    """Forget an engine's leases; None: all, which is right only where no other engine can be alive."""
    leased = sa.and_(operation.c.ended_at.is_(None), operation.c.lease_until.is_not(None))
    if owner is not None:
        leased = sa.and_(leased, operation.c.lease_owner == owner)
        tx.signal("operations")  # for the others
    tx.execute(operation.update().where(leased).values(lease_until=None, lease_owner=None))


def cancel(tx: Tx, op_id: str) -> None:
    """Ask that an open operation be undone as soon as its present step ends."""
    tx.execute(operation.update().where(operation.c.id == op_id, operation.c.ended_at.is_(None)).values(cancelled=True))


def hurry(tx: Tx, op_id: str) -> None:
    """Let an operation that waits be tried at once."""
    waits = sa.and_(operation.c.id == op_id, operation.c.state == "waiting", operation.c.ended_at.is_(None))
    tx.execute(operation.update().where(waits, operation.c.not_before > now()).values(not_before=now()))
    tx.signal("operations")


def get(tx: Tx, op_id: str) -> Row[Any] | None:
    return tx.execute(sa.select(operation).where(operation.c.id == op_id)).one_or_none()


def every(tx: Tx, op_ids: list[str]) -> list[Row[Any]]:
    """The operations of these ids."""
    return list(tx.execute(sa.select(operation).where(operation.c.id.in_(op_ids))).all())


def open_ones(tx: Tx, **wanted: Any) -> list[Row[Any]]:
    """Operations that have not ended and whose columns are as `wanted`, oldest first."""
    query = sa.select(operation).where(operation.c.ended_at.is_(None)).order_by(operation.c.created_at)
    query = query.where(*(operation.c[name] == value for name, value in wanted.items()))
    return list(tx.execute(query).all())
