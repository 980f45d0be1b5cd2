"""Pools as commands show them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.cli.output import Fields, moment
from cyclades.cli.resource import Resource, Where
from cyclades.config import PoolSettings, Settings
from cyclades.model.presence import is_up
from cyclades.operations import placement
from cyclades.operations.placement import Host
from cyclades.store import pools
from cyclades.store.database import Tx
from cyclades.store.schema import now, pool, snapshot, volume


def _read(tx: Tx, settings: Settings, _: Where) -> list[Fields]:
    """All that are configured: they are few."""
    found = {row.name: row for row in pools.every(tx, settings.storage.pools)}
    own = sa.select(volume.c.pool, sa.func.count().label("number"), sa.func.sum(volume.c.size).label("size"))
    own = own.where(volume.c.deleted_at.is_(None)).group_by(volume.c.pool)
    volumes = {row.pool: (row.number, int(row.size)) for row in tx.execute(own)}
    theirs = sa.select(volume.c.pool, sa.func.count().label("number"))
    theirs = theirs.join(snapshot, snapshot.c.volume_id == volume.c.id).where(snapshot.c.deleted_at.is_(None))
    snapshots = {row.pool: row.number for row in tx.execute(theirs.group_by(volume.c.pool))}
    hosts = placement.hosts(tx, settings)
    return [
        _fields(one, settings, found.get(one.name), volumes.get(one.name, (0, 0)), snapshots.get(one.name, 0), hosts)
        for one in settings.pools
    ]


def _fields(
    one: PoolSettings,
    settings: Settings,
    found: Row[Any] | None,
    volumes: tuple[int, int],
    snapshots: int,
    hosts: list[Host],
) -> Fields:
    return {
        "name": one.name,
        "engine": one.engine,
        "state": "unseen" if found is None else "up" if is_up(found.seen_at, now()) else "down",
        "enabled": found is None or found.enabled,
        "total": None if found is None else found.total,
        "free": None if found is None else found.free,
        "promised": None if found is None else found.promised,
        "volumes": volumes[0],
        "volume_gib": volumes[1],
        "snapshots": snapshots,
        "backends": [host.name for host in hosts if one.name in host.reaches],
        "directory": str(settings.pool_directory(one)) if one.engine == "qcow2" else None,
        "ceph_pool": one.ceph_pool if one.engine == "rbd" else None,
        "disabled_reason": None if found is None else found.disabled_reason,
        "seen_at": None if found is None else moment(found.seen_at),
    }


POOL = Resource(
    columns=("name", "engine", "state", "enabled", "total", "free", "promised", "volumes"),
    more=("volume_gib", "snapshots", "backends", "directory", "ceph_pool", "disabled_reason", "seen_at"),
    key=pool.c.name,
    read=_read,
    field="name",
)
