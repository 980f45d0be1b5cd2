"""Disks in clusters' own books, as they were last seen there. Written by the backend that saw them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.store.database import Tx
from cyclades.store.schema import backend_disk


def saw(tx: Tx, backend: str, uuid: str, **values: Any) -> None:
    """Write what a disk is like now: `volume_id`, `server_id`, `template`, `size` (bytes), `generation`."""
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(backend_disk)
    found = insert.values(backend=backend, uuid=uuid, **values)
    tx.execute(found.on_conflict_do_update(index_elements=["backend", "uuid"], set_=values))


def gone(tx: Tx, backend: str, uuid: str) -> None:
    """It is proven that the cluster no longer has the disk."""
    tx.execute(backend_disk.delete().where(backend_disk.c.backend == backend, backend_disk.c.uuid == uuid))


def of_volume(tx: Tx, volume_id: str) -> Row[Any] | None:
    """The disk of a volume that a cluster keeps, that of the latest attachment; None if it has none (yet)."""
    found = sa.select(backend_disk).where(backend_disk.c.volume_id == volume_id)
    return tx.execute(found.order_by(backend_disk.c.generation.desc()).limit(1)).one_or_none()


def of_volume_in(tx: Tx, backend: str, volume_id: str) -> list[Row[Any]]:
    """Its disks in this cluster: one, unless it is just being moved."""
    mine = sa.and_(backend_disk.c.backend == backend, backend_disk.c.volume_id == volume_id)
    return list(tx.execute(sa.select(backend_disk).where(mine)).all())


def of_server(tx: Tx, backend: str, server_id: str) -> list[Row[Any]]:
    mine = sa.and_(backend_disk.c.backend == backend, backend_disk.c.server_id == server_id)
    return list(tx.execute(sa.select(backend_disk).where(mine)).all())


def of_backend(tx: Tx, backend: str, uuids: Iterable[str] | None = None) -> list[Row[Any]]:
    """All disks of a cluster, or those of these uuids."""
    found = sa.select(backend_disk).where(backend_disk.c.backend == backend)
    return list(tx.execute(found if uuids is None else found.where(backend_disk.c.uuid.in_(list(uuids)))).all())
