"""What it means that a volume's disk is gone."""

from __future__ import annotations

from cyclades.model import quota
from cyclades.store import quotas, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import now


def forget(tx: Tx, volume_id: str, op_id: str) -> None:
    """So is the volume, and it no longer counts."""
    row = volumes.get(tx, volume_id, None)
    if volumes.finish(tx, volume_id, op_id, status="deleted", deleted_at=now()):
        amounts = quota.of_volume(row.size, type_id=row.volume_type_id, consumes=row.consumes_quota)
        quotas.give_back(tx, row.project_id, amounts)
