"""`cyclades reconcile-volumes`"""

from __future__ import annotations

from cyclades.cli.differences import reconciling
from cyclades.reconcile.look import at_pools

reconcile_volumes = reconciling(
    "reconcile_volumes",
    "Compare volumes, snapshots and images with the disks that are in the pools.",
    at_pools,
    ("pool-disk-missing", "pool-owner", "disk-size", "operation-stuck", "pool-disk-unowned"),
)
