"""Quotas: taken and given back in the transaction that changes the resource.

`take` is one conditional statement for each resource, so however many requests race, usage cannot drift
and a limit cannot be passed.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.config import UNLIMITED, Quotas
from cyclades.model.errors import OverQuota
from cyclades.model.quota import RESOURCES, Amounts
from cyclades.store.database import Tx
from cyclades.store.schema import quota_limit, quota_usage


def default_limit(defaults: Quotas, resource: str) -> int:
    """Of a project that has no limit of its own; what is counted for each volume type has none."""
    name = RESOURCES.get(resource)
    return UNLIMITED if name is None else getattr(defaults, name)


def limits(tx: Tx, defaults: Quotas, project_id: str) -> dict[str, int]:
    """Every limit of a project, its own ones over the defaults; -1 is none."""
    own = tx.execute(sa.select(quota_limit.c.resource, quota_limit.c.hard_limit).where(_of(quota_limit, project_id)))
    return {name: default_limit(defaults, name) for name in RESOURCES} | {row.resource: row.hard_limit for row in own}


def usage(tx: Tx, project_id: str) -> dict[str, int]:
    """What a project uses, by resource; what it never used is missing or 0."""
    rows = tx.execute(sa.select(quota_usage.c.resource, quota_usage.c.used).where(_of(quota_usage, project_id)))
    return dict.fromkeys(RESOURCES, 0) | {row.resource: row.used for row in rows}


def set_limit(tx: Tx, project_id: str, resource: str, limit: int) -> None:
    insert = _insert(tx, quota_limit).values(project_id=project_id, resource=resource, hard_limit=limit)
    tx.execute(insert.on_conflict_do_update(index_elements=["project_id", "resource"], set_={"hard_limit": limit}))


def forget_limit(tx: Tx, project_id: str, resource: str) -> None:
    """The default holds again."""
    tx.execute(quota_limit.delete().where(_of(quota_limit, project_id), quota_limit.c.resource == resource))


def take(tx: Tx, defaults: Quotas, project_id: str, amounts: Amounts) -> None:
    """Add to a project's usage, or raise `OverQuota` for the first resource whose limit would be passed."""
    own = limits(tx, defaults, project_id)
    # In one order everywhere, so that two requests cannot wait for each other.
    for resource in sorted(amounts):
        amount, limit = amounts[resource], own.get(resource, UNLIMITED)
        if amount == 0:
            continue
        too_much = limit != UNLIMITED and amount > limit
        values = {"project_id": project_id, "resource": resource, "amount": amount, "limit": limit}
        if too_much or tx.execute(_TAKE[tx.dialect], values).first() is None:
            used = usage(tx, project_id).get(resource, 0)
            raise OverQuota(resource, asked=amount, used=used, limit=limit)


def give_back(tx: Tx, project_id: str, amounts: Amounts) -> None:
    """Take from a project's usage what a resource that is gone had counted."""
    for resource in sorted(amounts):
        tx.execute(
            quota_usage.update()
            .where(_of(quota_usage, project_id), quota_usage.c.resource == resource)
            .values(used=quota_usage.c.used - amounts[resource])
        )


def _taking(insert: Any) -> Any:
    """Built once, since all that make something run it half a dozen times."""
    amount, limit = sa.bindparam("amount", type_=sa.BigInteger), sa.bindparam("limit", type_=sa.BigInteger)
    row = {"project_id": sa.bindparam("project_id"), "resource": sa.bindparam("resource"), "used": amount}
    more = quota_usage.c.used + amount
    fits = sa.or_(limit == UNLIMITED, more <= limit)
    upsert = insert(quota_usage).values(row)
    upsert = upsert.on_conflict_do_update(index_elements=["project_id", "resource"], set_={"used": more}, where=fits)
    return upsert.returning(quota_usage.c.used)


_TAKE = {"sqlite": _taking(sqlite.insert), "postgresql": _taking(postgresql.insert)}


def _of(table: sa.Table, project_id: str) -> sa.ColumnElement[bool]:
    return table.c.project_id == project_id


def _insert(tx: Tx, table: sa.Table) -> Any:
    return (postgresql if tx.dialect == "postgresql" else sqlite).insert(table)
