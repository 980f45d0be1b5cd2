"""Quotas: taken and given back in the transaction that changes the resource.

`take` is one conditional statement for each resource, so however many requests race, usage cannot drift
and a limit cannot be passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.config import UNLIMITED, Quotas
from cyclades.model.errors import OverQuota
from cyclades.model.quota import NOT_YET, PER_VOLUME, RESOURCES, Amounts, type_of
from cyclades.store.database import Tx
from cyclades.store.schema import quota_class, quota_limit, quota_usage, volume_type

# The one class there is: what a project has that has no limit of its own.
DEFAULT_CLASS = "default"

_OF_CLASS = sa.select(quota_class.c.resource, quota_class.c.hard_limit, sa.literal(False).label("own")).where(
    quota_class.c.name == DEFAULT_CLASS
)
_OF_PROJECT = sa.select(quota_limit.c.resource, quota_limit.c.hard_limit, sa.literal(True).label("own")).where(
    quota_limit.c.project_id == sa.bindparam("project_id")
)
_OF_BOTH = sa.union_all(_OF_CLASS, _OF_PROJECT)


def defaults(tx: Tx, configured: Quotas) -> dict[str, int]:
    """Every limit of a project without limits of its own: the default class's, over the configuration's; -1 is none.
    What is counted for a volume type is missing where it has no limit."""
    return _configured(configured) | {row.resource: row.hard_limit for row in tx.execute(_OF_CLASS)}


def limits(tx: Tx, configured: Quotas, project_id: str) -> dict[str, int]:
    """Every limit of a project: its own ones over `defaults`."""
    rows = tx.execute(_OF_BOTH, {"project_id": project_id}).all()
    return _configured(configured) | {row.resource: row.hard_limit for row in sorted(rows, key=lambda row: row.own)}


def _configured(quotas: Quotas) -> dict[str, int]:
    counted = {name: getattr(quotas, setting) for name, setting in RESOURCES.items()}
    return counted | {PER_VOLUME: quotas.per_volume_gigabytes} | dict.fromkeys(NOT_YET, 0)


def usage(tx: Tx, project_id: str) -> dict[str, int]:
    """What a project uses, by resource; what it never used is missing or 0."""
    rows = tx.execute(sa.select(quota_usage.c.resource, quota_usage.c.used).where(_of(quota_usage, project_id)))
    return dict.fromkeys(RESOURCES, 0) | {row.resource: row.used for row in rows}


def fullness(tx: Tx, configured: Quotas, resources: tuple[str, ...], *, nearly: float) -> list[Row[Any]]:
    """Of each of these resources that is used at all: `used` by all projects together, and the number of projects that
    use this part of their limit or more, `nearly`."""
    of_all = defaults(tx, configured)
    mine = sa.and_(
        quota_limit.c.project_id == quota_usage.c.project_id, quota_limit.c.resource == quota_usage.c.resource
    )
    default = sa.case({name: of_all[name] for name in resources}, value=quota_usage.c.resource)
    limit = sa.cast(sa.func.coalesce(quota_limit.c.hard_limit, default), sa.Float)
    full = sa.and_(limit > 0, quota_usage.c.used >= limit * nearly)
    query = sa.select(
        quota_usage.c.resource,
        sa.func.sum(quota_usage.c.used).label("used"),
        sa.func.sum(sa.case((full, 1), else_=0)).label("nearly"),
    )
    query = query.select_from(quota_usage).outerjoin(quota_limit, mine).where(quota_usage.c.resource.in_(resources))
    return list(tx.execute(query.group_by(quota_usage.c.resource)).all())


def set_limit(tx: Tx, project_id: str, resource: str, limit: int) -> None:
    insert = _insert(tx, quota_limit).values(project_id=project_id, resource=resource, hard_limit=limit)
    tx.execute(insert.on_conflict_do_update(index_elements=["project_id", "resource"], set_={"hard_limit": limit}))


def forget_limits(tx: Tx, project_id: str, resources: Iterable[str]) -> None:
    """The defaults hold again."""
    gone = quota_limit.c.resource.in_(list(resources))
    tx.execute(quota_limit.delete().where(_of(quota_limit, project_id), gone))


def set_class_limit(tx: Tx, resource: str, limit: int) -> None:
    """Of the default class."""
    insert = _insert(tx, quota_class).values(name=DEFAULT_CLASS, resource=resource, hard_limit=limit)
    tx.execute(insert.on_conflict_do_update(index_elements=["name", "resource"], set_={"hard_limit": limit}))


def forget_class_limit(tx: Tx, resource: str) -> None:
    """The configuration's default holds again."""
    mine = sa.and_(quota_class.c.name == DEFAULT_CLASS, quota_class.c.resource == resource)
    tx.execute(quota_class.delete().where(mine))


def forget_resource(tx: Tx, resource: str) -> None:
    """What nothing counts any more: a volume type's."""
    for table in (quota_class, quota_limit, quota_usage):
        tx.execute(table.delete().where(table.c.resource == resource))


def take(tx: Tx, configured: Quotas, project_id: str, amounts: Amounts, *, volume_size: int | None = None) -> None:
    """Add to a project's usage, or raise `OverQuota` for the first resource whose limit would be passed. `volume_size`:
    GiB that one volume will have."""
    own = limits(tx, configured, project_id)
    if volume_size is not None and 0 <= own[PER_VOLUME] < volume_size:
        raise OverQuota(PER_VOLUME, asked=volume_size, used=0, limit=own[PER_VOLUME])
    # In one order everywhere, so that two requests cannot wait for each other.
    for resource in sorted(amounts):
        amount, limit = amounts[resource], own.get(resource, UNLIMITED)
        if amount == 0:
            continue
        too_much = limit != UNLIMITED and amount > limit
        values = {"project_id": project_id, "resource": resource, "amount": amount, "limit": limit}
        if too_much or tx.execute(_TAKE[tx.dialect], values).first() is None:
            used = usage(tx, project_id).get(resource, 0)
            raise OverQuota(_named(tx, resource), asked=amount, used=used, limit=limit)


def count(tx: Tx, project_id: str, amounts: Amounts) -> None:
    """Add what is there in any case, whatever the limit."""
    for resource in sorted(amounts):
        values = {"project_id": project_id, "resource": resource, "amount": amounts[resource], "limit": UNLIMITED}
        tx.execute(_TAKE[tx.dialect], values)


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


def _named(tx: Tx, resource: str) -> str:
    """As people know it: with a volume type's name instead of its id."""
    type_id = type_of(resource)
    if type_id is None:
        return resource
    name = tx.execute(sa.select(volume_type.c.name).where(volume_type.c.id == type_id)).scalar_one()
    return resource.removesuffix(type_id) + str(name)


def _of(table: sa.Table, project_id: str) -> sa.ColumnElement[bool]:
    return table.c.project_id == project_id


def _insert(tx: Tx, table: sa.Table) -> Any:
    return (postgresql if tx.dialect == "postgresql" else sqlite).insert(table)
