"""What a pool in Ceph adds to RBD's own time: `python -m bench.rbd_pool CEPH_CONF CEPH_POOL USER [TIMES]`.

RBD is called directly by a program in the system's Python, on a connection that lasts; then the pool is asked for the
same. All disks are removed afterwards.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import ms, p50
from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.model.units import GIB
from cyclades.pools.base import at_rest
from cyclades.pools.rbd import RbdPool, RbdSettings

_VERBS = ("create", "snapshot", "clone")
_SIZES = {"1 GiB": GIB, "1 TiB": 1024 * GIB}
_GOAL = 0.020

_DIRECT = """
import json, sys, time, rados, rbd
conf, pool, user, times, size = sys.argv[1:4] + [int(word) for word in sys.argv[4:]]
cluster = rados.Rados(conffile=conf, name="client." + user)
cluster.conf_set("rbd_default_clone_format", "2")
cluster.connect()
io, found = cluster.open_ioctx(pool), {"create": [], "snapshot": [], "clone": []}

def timed(verb, function):
    start = time.monotonic()
    function()
    found[verb].append(time.monotonic() - start)

def snapshot(name):
    with rbd.Image(io, name) as image:
        image.create_snap("s")

for n in range(times):
    a, b = f"bench-{n}", f"bench-clone-{n}"
    timed("create", lambda: rbd.RBD().create(io, a, size, old_format=False, features=61))
    timed("snapshot", lambda: snapshot(a))
    timed("clone", lambda: rbd.RBD().clone(io, a, "s", io, b, features=61))
    rbd.RBD().remove(io, b)
    with rbd.Image(io, a) as image:
        image.remove_snap("s")
    rbd.RBD().remove(io, a)
print(json.dumps(found))
io.close()
cluster.shutdown()
"""


def direct(conf: str, pool: str, user: str, times: int, size: int) -> dict[str, list[float]]:
    words = [conf, pool, user, str(times), str(size)]
    done = subprocess.run(["/usr/bin/python3", "-c", _DIRECT, *words], stdout=subprocess.PIPE, check=True)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


async def through_the_pool(pool: RbdPool, times: int, size: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {verb: [] for verb in _VERBS}

    async def timed(verb: str, doing: Awaitable[None]) -> None:
        start = time.monotonic()
        await doing
        found[verb].append(time.monotonic() - start)

    for number in range(times):
        volume, snapshot = volume_disk(f"bench-{number}"), snapshot_disk(f"bench-{number}")
        copy = volume_disk(f"bench-copy-{number}")
        await timed("create", pool.create(volume, size))
        await timed("snapshot", pool.snapshot(volume, snapshot, at_rest))
        await timed("clone", pool.clone(copy, snapshot, size))
        for disk in (copy, snapshot, volume):
            await pool.delete(disk)
    return found


def main() -> None:
    conf, ceph_pool, user, *more = sys.argv[1:]
    times = int(more[0]) if more else 20
    table = Table("verb", "size", "RBD, p50", "pool, p50", "our share", "goal")
    with tempfile.TemporaryDirectory() as scratch:
        pool = RbdPool("bench", RbdSettings(Path(conf), ceph_pool, user, user), Path(scratch))
        asyncio.run(through_the_pool(pool, 1, GIB))  # the worker starts
        for name, size in _SIZES.items():
            without = direct(conf, ceph_pool, user, times, size)
            with_us = asyncio.run(through_the_pool(pool, times, size))
            for verb in _VERBS:
                ours, theirs = p50(with_us[verb]), p50(without[verb])
                table.add_row(verb, name, ms(theirs), ms(ours), ms(ours - theirs), f"< {ms(_GOAL)}")
        pool.close()
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
