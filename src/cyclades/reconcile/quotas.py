"""Usage against the sum of what is there. Where operations are under way it is on its way, too, and passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.config import Settings
from cyclades.model import quota
from cyclades.model.errors import WrongState
from cyclades.operations.base import World
from cyclades.reconcile.difference import CallerFor, Difference, Mending
from cyclades.store.database import Tx
from cyclades.store.schema import image, image_upload, operation, quota_usage, server, snapshot, volume

_Usage = dict[tuple[str, str], int]  # by project and resource


async def look(world: World) -> list[Difference]:
    due, used, busy = await world.db.read(lambda tx: (_due(tx), _used(tx), _busy(tx)))
    return [
        _difference(project_id, resource, due.get((project_id, resource), 0), used.get((project_id, resource), 0))
        for project_id, resource in sorted({*due, *used})
        if project_id not in busy and due.get((project_id, resource), 0) != used.get((project_id, resource), 0)
    ]


def _difference(project_id: str, resource: str, due: int, used: int) -> Difference:
    def accept(tx: Tx, settings: Settings, caller: CallerFor) -> None:
        _set(tx, project_id, resource)

    return Difference(
        "quota",
        f"project {project_id}",
        "database",
        f"{used} of {resource}",
        f"{due} of {resource}",
        mendings=(Mending("quota", accept),),
    )


def _set(tx: Tx, project_id: str, resource: str) -> None:
    mine = sa.and_(quota_usage.c.project_id == project_id, quota_usage.c.resource == resource)
    # Who takes or gives back waits until this has ended; who did so before is seen by the sums.
    tx.execute(sa.select(quota_usage).where(mine).with_for_update()).all()
    if project_id in _busy(tx):
        text = f"Operations of project {project_id} are under way: try again when they have ended."
        raise WrongState("reconcile-quota", text, resource="project")
    used = _due(tx, project_id).get((project_id, resource), 0)
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(quota_usage)
    row = insert.values(project_id=project_id, resource=resource, used=used)
    tx.execute(row.on_conflict_do_update(index_elements=["project_id", "resource"], set_={"used": used}))


def _busy(tx: Tx) -> set[str]:
    found = sa.select(operation.c.project_id).where(operation.c.ended_at.is_(None)).distinct()
    return set(tx.execute(found).scalars())


def _used(tx: Tx) -> _Usage:
    return {(row.project_id, row.resource): row.used for row in tx.execute(sa.select(quota_usage))}


def _due(tx: Tx, project_id: str | None = None) -> _Usage:
    """The sums, of one project or of all."""
    due: Counter[tuple[str, str]] = Counter()

    def add(project: str, number: int, total: int, amounts: Callable[[int], quota.Amounts]) -> None:
        """`amounts` of one that is so large: they grow with its size in a straight line."""
        none, all_of_it = amounts(0), amounts(int(total))
        for resource in all_of_it:
            due[project, resource] += number * none[resource] + all_of_it[resource] - none[resource]

    of_volumes = _grouped(volume, volume.c.size, volume.c.volume_type_id, volume.c.consumes_quota)
    for row in tx.execute(_of(volume, project_id, of_volumes)):
        of_type = partial(quota.of_volume, type_id=row.volume_type_id, consumes=row.consumes_quota)
        add(row.project_id, row.number, row.total, of_type)
    of_snapshots = _grouped(snapshot, snapshot.c.size, volume.c.volume_type_id)
    of_snapshots = of_snapshots.join_from(snapshot, volume, volume.c.id == snapshot.c.volume_id)
    for row in tx.execute(_of(snapshot, project_id, of_snapshots)):
        add(row.project_id, row.number, row.total, partial(quota.of_snapshot, type_id=row.volume_type_id))
    # An image that is being uploaded counts what has been taken for it so far.
    of_images = _grouped(image, sa.func.coalesce(sa.func.nullif(image.c.size, 0), image_upload.c.counted, 0))
    of_images = of_images.join_from(image, image_upload, image_upload.c.image_id == image.c.id, isouter=True)
    for row in tx.execute(_of(image, project_id, of_images)):
        add(row.project_id, row.number, row.total, lambda size: {quota.IMAGES: 1, **quota.of_image(size)})
    for row in tx.execute(_of(server, project_id, sa.select(server.c.project_id, server.c.flavor))):
        for resource, amount in quota.of_server(row.flavor["vcpus"], row.flavor["ram"]).items():
            due[row.project_id, resource] += amount
    return due


def _grouped(table: sa.Table, size: sa.ColumnElement[int], *by: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """By project: how many there are, and the sum of their sizes."""
    number, total = sa.func.count().label("number"), sa.func.coalesce(sa.func.sum(size), 0).label("total")
    return sa.select(table.c.project_id, number, total, *by).group_by(table.c.project_id, *by)


def _of(table: sa.Table, project_id: str | None, found: sa.Select[Any]) -> sa.Select[Any]:
    found = found.where(table.c.deleted_at.is_(None))
    return found if project_id is None else found.where(table.c.project_id == project_id)
