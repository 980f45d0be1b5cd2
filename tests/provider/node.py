"""A node of a Ganeti cluster as its ExtStorage provider sees it, without Ganeti: namespaces of its own, with processes,
/run and /etc, in which the provider's scripts are called as Ganeti calls them. Loop devices are the machine's."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from cyclades.model.units import MIB
from cyclades.pools.base import LiveDisk

PROVIDER = Path(__file__).parents[2] / "ganeti" / "extstorage" / "cyclades"
_TRACED = Path(__file__).with_name("killed_at.py")

# The overlay's upper directory is in a tmpfs, since an overlay cannot be in another one.
_SETUP = """
set -e
mount -t tmpfs node /run
mkdir -p /run/upper/cyclades /run/work
printf '%s' "$1" > /run/upper/cyclades/node.json
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work node /etc
echo ready
cat
: # the shell waits, and takes in the orphans
"""


def why_not() -> str | None:
    """Why this machine cannot be a node; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(device):
            return f"needs {device}"
    if shutil.which("qemu-storage-daemon") is None:
        return "needs qemu-storage-daemon"
    if subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "node", "/run"], capture_output=True).returncode:
        return "needs a mount namespace of its own"
    return None


class Refusal(Exception):
    """What an action said when it failed."""


class Node:
    """`settings` is what /etc/cyclades/node.json holds."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def command(self, *words: str | Path) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--", *map(str, words)]

    async def run(self, *words: str | Path, env: Mapping[str, str] | None = None) -> str:
        process = await asyncio.create_subprocess_exec(
            *self.command(*words), stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=env
        )
        out, err = await process.communicate()
        if process.returncode != 0:
            raise Refusal(err.decode() or f"ended with {process.returncode}")
        return out.decode()

    async def write(self, path: str, text: str) -> None:
        await self.run("/bin/sh", "-c", 'printf %s "$2" > "$1"', "sh", path, text)

    def processes(self) -> dict[int, str]:
        """What runs in this node, but for what keeps it: command lines."""
        mine, found = os.readlink(f"/proc/{self.pid}/ns/pid"), {}
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/pid") == mine:
                    found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return {pid: line for pid, line in found.items() if line not in ("", "cat ") and pid != self.pid}

    def mounts(self) -> dict[str, int]:
        """Device numbers of the raw files that are shown."""
        found = {}
        for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines():
            words = line.split()
            if words[4].startswith("/run/cyclades/"):
                major, minor = words[2].split(":")
                found[words[4]] = os.makedev(int(major), int(minor))
        return found

    async def leftovers(self) -> list[str]:
        """All that there is of any disk."""
        found = await self.run("find", "/run", "-path", "/run/cyclades/*")
        return [*self.processes().values(), *self.mounts(), *found.splitlines()]


@contextmanager
def node(settings: Mapping[str, object]) -> Iterator[Node]:
    """Nothing of it stays on the machine."""
    words = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words += ["--", "/bin/sh", "-c", _SETUP, "sh"]
    keeper = subprocess.Popen([*words, json.dumps(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        assert keeper.stdout.readline() == b"ready\n"
        (child,) = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
        made = Node(int(child))
        try:
            yield made
        finally:
            _clear(made)
    finally:
        keeper.stdin.close()
        keeper.wait()
        keeper.stdout.close()


def _clear(node: Node) -> None:
    """The processes end with the first."""
    for raw in node.mounts():
        found = subprocess.run(node.command("losetup", "-j", raw, "-nO", "NAME"), capture_output=True, text=True)
        for loop in found.stdout.split():
            subprocess.run(["blockdev", "--setrw", loop], check=False)
            subprocess.run(node.command("losetup", "--detach", loop), check=False)


@dataclass
class InstanceDisk:
    """A disk of an instance that Ganeti has, and what Ganeti has the provider do with it. `size` is MiB."""

    node: Node
    volume: str
    size: int = 8
    pool: str = "fast"
    owner: str = "c1/server-a"
    generation: int | str = 1
    name: str | None = None
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def disk(self) -> str:
        return f"snf-vol-{self.volume}"

    async def call(self, action: str, *, killed_at: int | None = None, **more: str | int) -> str:
        """Call one action; killed before the so-manieth line of the provider that it comes to, it ends with -9."""
        script = PROVIDER / action
        words = [script] if killed_at is None else [sys.executable, "-IS", _TRACED, str(killed_at), script]
        return await self.node.run(*words, env=self._environment(more))

    def _environment(self, more: Mapping[str, str | int]) -> dict[str, str]:
        found = {
            "LC_ALL": "C",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "VOL_NAME": f"{uuid.uuid4()}.ext.disk0",
            "VOL_CNAME": self.name or self.disk,
            "VOL_UUID": self.uuid,
            "EXTP_PROVIDER": "cyclades",
            "EXTP_ACCESS": "kernelspace",
            "EXTP_POOL": self.pool,
            "EXTP_VOLUME": self.volume,
            "EXTP_OWNER": self.owner,
            "EXTP_GENERATION": str(self.generation),
        }
        return found | {key: str(value) for key, value in more.items()}

    async def attach(self) -> str:
        """The block device."""
        device, _, uri = (await self.call("attach")).partition("\n")
        assert re.fullmatch(r"/dev/loop\d+", device)
        assert uri == f"kvm:file:/run/cyclades/{self.disk}/raw"
        return device

    async def add(self) -> str:
        await self.call("create", VOL_SIZE=self.size)
        await self.attach()
        await self.call("open", VOL_OPEN_EXCLUSIVE="True")
        await self.call("setinfo", VOL_METADATA="originstname+vm1")
        return await self.attach()

    async def start(self) -> str:
        """As when the instance starts, or the disk is plugged into it while it runs."""
        await self.attach()
        await self.call("open", VOL_OPEN_EXCLUSIVE="True")
        return await self.attach()

    async def stop(self) -> None:
        await self.attach()
        await self.call("detach")

    async def grow(self, size: int) -> None:
        await self.attach()
        await self.call("grow", VOL_SIZE=self.size, VOL_NEW_SIZE=size)
        self.size = size

    async def remove(self) -> None:
        await self.stop()
        await self.call("remove")


class Running:
    """The `LiveDisk` of an instance that has the disk, as far as Ganeti has one: its backend grows the disk by a job.
    `grow` takes MiB."""

    def __init__(self, grow: Callable[[int], Awaitable[None]]) -> None:
        self._grow = grow

    async def find(self) -> LiveDisk:
        """As a pool asks for it."""
        return cast(LiveDisk, self)

    async def resize(self, size: int) -> None:
        await self._grow(size // MIB)


def write(device: str, offset: int, data: bytes) -> None:
    """As a guest that flushes."""
    descriptor = os.open(device, os.O_RDWR)
    try:
        assert os.pwrite(descriptor, data, offset) == len(data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(device: str, offset: int, length: int) -> bytes:
    descriptor = os.open(device, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)


def size(device: str) -> int:
    """Bytes."""
    with open(device, "rb") as file:
        return file.seek(0, os.SEEK_END)
