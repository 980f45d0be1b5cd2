"""`cyclades reconcile-servers`"""

from __future__ import annotations

from cyclades.cli.differences import reconciling
from cyclades.reconcile.look import at_servers

reconcile_servers = reconciling(
    "reconcile_servers",
    "Compare servers and what is plugged into them with what is on the backends: clusters and this machine.",
    at_servers,
    (
        "server-missing",
        "server-power",
        "disk-missing",
        "disk-detached",
        "disk-elsewhere",
        "disk-renamed",
        "disk-size",
        "operation-stuck",
        "server-unknown",
    ),
    backends=True,
)
