"""The story of `make demo`, with real guests whose disks are RBD images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.ceph.cluster import ENGINE, NODE, POOL, Cluster
from tests.ceph.conftest import NOTHING

_ROOT = Path(__file__).parents[2]
_LIMIT = 900.0  # seconds, without KVM


def test_a_text_that_one_server_wrote_is_read_by_another(cluster: Cluster) -> None:
    settings = {"name": "ceph", "engine": "rbd", "ceph_conf": str(cluster.conf), "ceph_pool": POOL}
    pools = json.dumps([settings | {"user": ENGINE, "node_user": NODE}])
    done = subprocess.run(
        [sys.executable, _ROOT / "demo" / "demo.py"],
        env=os.environ | {"CYCLADES_POOLS": pools},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert key_of(cluster, ENGINE) not in done.stdout
    assert cluster.left()["trash"] == NOTHING["trash"]


def key_of(cluster: Cluster, user: str) -> str:
    return cluster.keyring(f"client.{user}").read_text().split("key = ")[1].split()[0]
