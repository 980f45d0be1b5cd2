"""What projects should be using, by what is there, beside what their quotas say. The two should never differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.model import quota
from cyclades.store.database import Tx
from cyclades.store.schema import image, image_upload, operation, quota_usage, server, snapshot, volume


@dataclass(frozen=True)
class Difference:
    """`due` is what there is, `used` what the quota says, in the resource's own unit."""

    project_id: str
    resource: str
    due: int
    used: int


def differences(tx: Tx) -> tuple[list[Difference], set[str]]:
    """Where quotas differ from what is there; and the projects that cannot be judged now, since operations are at work
    in them. In a transaction that writes nobody takes of a quota, or gives back, meanwhile."""
    should, used, busy = due(tx), used_now(tx), busy_projects(tx)
    found = [
        Difference(*key, should.get(key, 0), used.get(key, 0))
        for key in sorted({*should, *used})
        if should.get(key, 0) != used.get(key, 0) and key[0] not in busy
    ]
    return found, busy


def hold(tx: Tx) -> None:
    """Until the transaction ends nobody takes of a quota or gives back, and all who did so before are seen."""
    if tx.dialect == "postgresql":
        tx.execute(sa.text("LOCK TABLE quota_usage IN SHARE ROW EXCLUSIVE MODE"))


def mend(tx: Tx, project_id: str, resource: str) -> None:
    """Let the quota say what there is. The transaction is to `hold` them."""
    insert = (postgresql if tx.dialect == "postgresql" else sqlite).insert(quota_usage)
    used = due(tx, project_id).get((project_id, resource), 0)
    row = insert.values(project_id=project_id, resource=resource, used=used)
    tx.execute(row.on_conflict_do_update(index_elements=["project_id", "resource"], set_={"used": used}))


def busy_projects(tx: Tx) -> set[str]:
    """Where operations are under way: what they take and give back is, too."""
    is_open = operation.c.ended_at.is_(None)
    found = set(tx.execute(sa.select(operation.c.project_id).where(is_open).distinct()).scalars())
    for table in (volume, snapshot, server, image):  # an admin's operations are of the admin's project
        owned = sa.select(table.c.project_id).join(operation, operation.c.id == table.c.operation_id)
        found |= set(tx.execute(owned.where(is_open, table.c.deleted_at.is_(None)).distinct()).scalars())
    return found


def used_now(tx: Tx) -> dict[tuple[str, str], int]:
    return {(row.project_id, row.resource): row.used for row in tx.execute(sa.select(quota_usage))}


def due(tx: Tx, project_id: str | None = None) -> Counter[tuple[str, str]]:
    """The sums of what is there by project and resource, in one project or in all."""
    found: Counter[tuple[str, str]] = Counter()

    def add(project: str, number: int, total: int, amounts: Callable[[int], quota.Amounts]) -> None:
        """`amounts` of one that is so large: they grow with its size in a straight line."""
        none, all_of_it = amounts(0), amounts(int(total))
        for resource in all_of_it:
            found[project, resource] += number * none[resource] + all_of_it[resource] - none[resource]

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
            found[row.project_id, resource] += amount
    return found


def _grouped(table: sa.Table, size: sa.ColumnElement[int], *by: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """By project: how many there are, and the sum of their sizes."""
    number, total = sa.func.count().label("number"), sa.func.coalesce(sa.func.sum(size), 0).label("total")
    return sa.select(table.c.project_id, number, total, *by).group_by(table.c.project_id, *by)


def _of(table: sa.Table, project_id: str | None, found: sa.Select[Any]) -> sa.Select[Any]:
    found = found.where(table.c.deleted_at.is_(None))
    return found if project_id is None else found.where(table.c.project_id == project_id)
