"""What projects should be using, by what is there, beside what their quotas say. The two should never differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cyclades.model import quota
from cyclades.store.database import Tx
from cyclades.store.schema import image, image_upload, operation, quota_usage, server, snapshot, volume

Due = Counter[tuple[str, str]]  # by project and resource


@dataclass(frozen=True)
class Difference:
    """`due` is what there is, `used` what the quota says, in the resource's own unit."""

    project_id: str
    resource: str
    due: int
    used: int


def due(tx: Tx) -> Due:
    """What each project uses, counted anew."""
    found: Due = Counter()

    def add(project_id: str, amounts: quota.Amounts) -> None:
        for resource, amount in amounts.items():
            found[project_id, resource] += amount

    for row in _alive(tx, volume, "project_id", "size", "volume_type_id", "consumes_quota"):
        add(row.project_id, quota.of_volume(row.size, type_id=row.volume_type_id, consumes=row.consumes_quota))
    of_snapshots = (
        sa.select(snapshot.c.project_id, snapshot.c.size, volume.c.volume_type_id)
        .join(volume, volume.c.id == snapshot.c.volume_id)
        .where(snapshot.c.deleted_at.is_(None))
    )
    for row in tx.execute(of_snapshots):
        add(row.project_id, quota.of_snapshot(row.size, type_id=row.volume_type_id))
    # Of an image that is being uploaded, what was counted so far.
    of_images = (
        sa.select(image.c.project_id, image.c.size, image_upload.c.counted)
        .outerjoin(image_upload, image_upload.c.image_id == image.c.id)
        .where(image.c.deleted_at.is_(None))
    )
    for row in tx.execute(of_images):
        add(row.project_id, {quota.IMAGES: 1, **quota.of_image(row.size or row.counted or 0)})
    for row in _alive(tx, server, "project_id", "flavor"):
        add(row.project_id, quota.of_server(row.flavor["vcpus"], row.flavor["ram"]))
    return found


def _alive(tx: Tx, table: sa.Table, *columns: str) -> Any:
    return tx.execute(sa.select(*(table.c[name] for name in columns)).where(table.c.deleted_at.is_(None)))


def differences(tx: Tx) -> tuple[list[Difference], set[str]]:
    """Where quotas differ from what is there; and the projects that cannot be judged now, since operations are at
    work on what they have. Nobody takes of a quota, or gives back, until the transaction has ended: it must be one
    that writes."""
    if tx.dialect == "postgresql":
        tx.execute(sa.text("LOCK TABLE quota_usage IN SHARE ROW EXCLUSIVE MODE"))
    busy = set(tx.execute(sa.select(operation.c.project_id).where(operation.c.ended_at.is_(None))).scalars())
    for table in (volume, snapshot, server, image):
        owned = sa.select(table.c.project_id).where(table.c.operation_id.is_not(None), table.c.deleted_at.is_(None))
        busy |= set(tx.execute(owned.distinct()).scalars())
    should = due(tx)
    used = {(row.project_id, row.resource): row.used for row in tx.execute(sa.select(quota_usage))}
    found = [
        Difference(*key, should[key], used.get(key, 0))
        for key in sorted({*should, *used})
        if should[key] != used.get(key, 0) and key[0] not in busy
    ]
    return found, busy


def mend(tx: Tx, found: list[Difference]) -> None:
    """Let the quotas say what there is."""
    insert = postgresql.insert if tx.dialect == "postgresql" else sqlite.insert
    for one in found:
        row = insert(quota_usage).values(project_id=one.project_id, resource=one.resource, used=one.due)
        tx.execute(row.on_conflict_do_update(index_elements=["project_id", "resource"], set_={"used": one.due}))
