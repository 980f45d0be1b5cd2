"""A real Ceph of one machine for the tests: one monitor, one manager, one OSD on a sparse file. No systemd, no
device-mapper, loopback only. As root.

The daemons run in the foreground as our children and die with us, whatever happens to us.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from tests.ceph import tuning

from cyclades.config import load

PYTHON = "/usr/bin/python3"  # has Debian's bindings
PATIENCE = 120.0  # seconds for anything a daemon does, on a busy machine
POOL = "cloud"
ENGINE, NODE = "cyclades", "nodes"  # cephx users: least rights, as docs/ceph.md tells operators to make them
GUESTS = load(None, {}).backends[0].user
_SIZE = 4 << 30
_TRIM_SECONDS = 30.0


class Cluster:
    """A cluster in `directory`, which is made. `size`: bytes of its one OSD."""

    def __init__(self, directory: Path, *, size: int = _SIZE) -> None:
        self.directory = directory
        self.conf = directory / "ceph.conf"
        self._size = size
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def up(self) -> None:
        for name in ("run", "log", "mon.a", "osd.0"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.conf.write_text(tuning.conf(self.directory, _free_port(), self._size))
        self._make_monitor()
        self.start("mon.a")
        self.start("mgr.x")
        osd = str(uuid.uuid4())
        self.ask("osd new", uuid=osd, id=0)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, "--no-mon-config")
        self.start("osd.0")
        self.make_pool(POOL)
        self._let_guests_in()

    def _let_guests_in(self) -> None:
        """The QEMUs of guests run as a user of their own, and read the configuration and their key, no other."""
        for path in (self.directory.parent, self.directory):
            path.chmod(0o711)
        self.conf.chmod(0o644)
        shutil.chown(self.keyring(f"client.{NODE}"), GUESTS, GUESTS)

    def _make_monitor(self) -> None:
        seed, monmap = self.directory / "seed", self.directory / "monmap"
        keys = {
            "mon.": {"mon": "allow *"},
            "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
            "mgr.x": {"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"},
            "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
            f"client.{ENGINE}": {"mon": "profile rbd", "osd": f"profile rbd pool={POOL}"},
            f"client.{NODE}": {"mon": "profile rbd", "osd": f"profile rbd pool={POOL}"},
        }
        for name, caps in keys.items():
            words = [part for kind, cap in caps.items() for part in ("--cap", kind, cap)]
            keyring = self.keyring(name)
            self._run("ceph-authtool", "-C", keyring, "--gen-key", "-n", name, *words)
            create = [] if seed.exists() else ["-C"]
            self._run("ceph-authtool", *create, seed, "--import-keyring", keyring)
        fsid = self.conf.read_text().split("fsid = ")[1].split()[0]
        host = self.conf.read_text().split("mon host = ")[1].split()[0]
        self._run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", host, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", seed)

    def keyring(self, name: str) -> Path:
        return self.directory / f"ceph.{name.rstrip('.')}.keyring"

    def start(self, name: str) -> None:
        kind, _, number = name.partition(".")
        command = ["setpriv", "--pdeathsig", "KILL", "--", f"ceph-{kind}", "-f", "-i", number, "-c", str(self.conf)]
        with (self.directory / "log" / f"{name}.out").open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def signal(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def kill(self, name: str) -> None:
        self._running[name].kill()
        self._running.pop(name).wait()

    def down(self) -> None:
        for name in ("osd.0", "mgr.x", "mon.a"):
            if name in self._running:
                self.kill(name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def ask(self, command: str, **arguments: Any) -> Any:
        """A command to the monitor, as admin: what it answers."""
        return self.python(_ASK, json.dumps({"prefix": command, "format": "json", **arguments}))

    def make_pool(self, name: str) -> None:
        until = time.monotonic() + PATIENCE
        while self.ask("osd stat")["num_up_osds"] < 1:
            if time.monotonic() > until:
                raise TimeoutError(f"the OSD does not come up; see {self.directory}/log")
        self.ask("osd pool create", pool=name, pg_num=8)
        self.python(_INIT, name)

    def python(self, program: str, *words: str) -> Any:
        """Run a program with Ceph's bindings; what it prints as JSON. `cluster` is connected in it, as admin."""
        done = subprocess.run(
            [PYTHON, "-c", _CONNECT + program + _LEAVE, str(self.conf), *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def left(self) -> dict[str, list[str]]:
        """What is in the pool, as its operator sees it: images, those in the trash, snapshots, objects of theirs and
        ours. What snapshots alone held is removed by the OSD a moment later."""
        found: dict[str, list[str]] = self.python(_LEFT, POOL)
        until = time.monotonic() + _TRIM_SECONDS
        while found["objects"] and not (found["images"] or found["trash"]) and time.monotonic() < until:
            time.sleep(0.2)
            found = self.python(_LEFT, POOL)
        return found

    def _run(self, *command: str | Path) -> None:
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            env=os.environ | {"CEPH_CONF": str(self.conf)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


_CONNECT = """
import json, rados, rbd, sys
cluster = rados.Rados(conffile=sys.argv[1], name="client.admin")
cluster.connect(timeout=60)
"""

# Else threads of its own may still run while the program ends, and abort it.
_LEAVE = """
cluster.shutdown()
"""

_ASK = """
code, out, said = cluster.mon_command(sys.argv[2], b"", timeout=60)
if code < 0:
    sys.exit(f"{sys.argv[2]}: {code} {said}")
print(out.decode() or "null")
"""

_INIT = """
pool = cluster.open_ioctx(sys.argv[2])
rbd.RBD().pool_init(pool, True)
pool.write_full("up", b"1")
pool.remove_object("up")
"""

_LEFT = """
pool = cluster.open_ioctx(sys.argv[2])
images = rbd.RBD().list(pool)
snapshots = []
for name in images:
    with rbd.Image(pool, name, read_only=True) as image:
        snapshots += [f"{name}@{snap['name']}" for snap in image.list_snaps()]
trash = [found["name"] for found in rbd.RBD().trash_list(pool)]
objects = [o.key for o in pool.list_objects() if o.key.startswith(("cyclades.lock", "rbd_data", "rbd_header"))]
print(json.dumps({"images": images, "trash": trash, "snapshots": snapshots, "objects": sorted(objects)}))
"""

if __name__ == "__main__":  # to look around: python -m tests.ceph.cluster DIR
    cluster = Cluster(Path(sys.argv[1]))
    try:
        cluster.up()
        print(f"CEPH_CONF={cluster.conf} rbd ls {POOL}; ctrl-C takes it down", flush=True)
        signal.pause()
    finally:
        cluster.down()
