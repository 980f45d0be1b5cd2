"""`cyclades reconcile-quotas`"""

from __future__ import annotations

from cyclades.cli.differences import reconciling
from cyclades.reconcile.look import at_quotas

reconcile_quotas = reconciling(
    "reconcile_quotas", "Compare what quotas count as used with the sum of what is there.", at_quotas, ("quota",)
)
