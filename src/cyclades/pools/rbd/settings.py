"""How a Ceph pool is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RbdSettings:
    """`ceph_conf` is read by us as the cephx user `user`, and by the QEMUs of guests as `node_user`; it names the
    files with their keys, or `keyring` does for ours. `ceph_pool` is Ceph's name of the pool. `python` has Ceph's
    bindings."""

    ceph_conf: Path
    ceph_pool: str
    user: str
    node_user: str
    keyring: Path | None = None
    python: Path = Path("/usr/bin/python3")
