"""One node of a cell, from outside: commands in it, its files, its daemons, the consoles of its instances."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.ganeti.console import Console

LIMIT = 180.0  # seconds that anything may take before a test gives up

_CONSOLES = "run/ganeti/kvm-hypervisor/ctrl"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


class Node:
    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name  # as Ganeti knows it

    @property
    def pid(self) -> int:
        """The machine's number of the node's first process: what leads into its namespaces."""
        return int((self.directory / "pid").read_text())

    @property
    def root(self) -> Path:
        """The node's `/`, as other processes of the machine reach it. Links in it that begin with `/` lead astray."""
        return Path(f"/proc/{self.pid}/root")

    def command(self, *words: str | Path) -> list[str | Path]:
        """What runs these words in the node."""
        into = ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        variables = [f"{name}={value}" for name, value in _ENVIRONMENT.items()]
        return [*into, "--", "env", "-i", *variables, *words]

    def run(self, *words: str | Path, typed: str = "", check: bool = True) -> str:
        """Run a command to its end; returns its standard output. With `check`, it must succeed."""
        done = subprocess.run(
            self.command(*words), input=typed, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        if check:
            assert done.returncode == 0, f"{' '.join(map(str, words))} on {self.name}: {done.stdout}{done.stderr}"
        return done.stdout

    def install(self, source: Path, target: str) -> None:
        """Copy a file or a directory to this path on the node, in place of what is there."""
        self.run("rm", "-rf", target)
        path = self.root / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, path, symlinks=True)
        else:
            shutil.copy(source, path)

    # --- Ganeti's daemons: noded, rapi, luxid, wconfd, confd, mond, metad, kvmd --------------------------

    def stop(self, daemon: str) -> None:
        self.run("/usr/lib/ganeti/daemon-util", "stop", f"ganeti-{daemon}")

    def start(self, daemon: str) -> None:
        self.run("/usr/lib/ganeti/daemon-util", "start", f"ganeti-{daemon}")

    @contextmanager
    def without(self, daemon: str) -> Iterator[None]:
        """Inside, the daemon is stopped."""
        self.stop(daemon)
        try:
            yield
        finally:
            self.start(daemon)

    def pids(self, program: str) -> list[int]:
        """The machine's numbers of the node's processes of this program, such as `ganeti-luxid`."""
        space = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                words = (process / "cmdline").read_bytes().split(b"\0")[:2]  # an interpreter may come first
                if program in [Path(os.fsdecode(word)).name for word in words]:
                    found += [int(process.name)] if os.readlink(process / "ns" / "pid") == space else []
        return found

    @contextmanager
    def frozen(self, daemon: str) -> Iterator[None]:
        """Inside, the daemon neither answers nor refuses."""
        pids = self.pids(f"ganeti-{daemon}")
        assert pids, f"{daemon} does not run on {self.name}"
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    # --- guests ---------------------------------------------------------------------------------------

    def console_path(self, instance: str) -> str:
        """On the node: the socket that is the serial console of a KVM instance of this name."""
        return f"/{_CONSOLES}/{instance}.serial"

    def console(self, instance: str) -> Console:
        """Connect to the serial console of an instance that runs here."""
        return Console(self.root / _CONSOLES, f"{instance}.serial", LIMIT)
