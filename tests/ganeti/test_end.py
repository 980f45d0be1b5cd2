"""Nothing is left of cells that are taken down; and of those whose process was killed, nothing once others start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from tests.ganeti.cells import Cells, sweep
from tests.ganeti.test_devices import export, qcow2
from tests.processes import wait_until

_HOLD = """
import sys
from tests.ganeti.cells import Cells
Cells(sys.argv[1]).start([2])
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cells(cells: Cells) -> Iterator[Cells]:
    """Not started yet, and not those of the other tests, which run meanwhile."""
    cells = Cells(f"end-{uuid4().hex[:8]}")
    yield cells
    if cells.directory.exists():
        Cells.running(cells.directory.name).down()


class Use:
    """What cells have that is not only in their namespaces: loop devices, over a file of a node, over a shared file
    that was deleted, over FUSE; and the namespaces."""

    def __init__(self, cells: Cells) -> None:
        node = cells.clusters[0].nodes[1]
        paths = ["/root/file", str(cells.shared / "file"), "/root/fuse"]
        export(node, qcow2(cells.shared / "disk.qcow2"), paths[2])
        node.run("truncate", "-s1M", *paths[:2])
        self._loops = [_Loop(node.run("losetup", "--find", "--show", path).strip()) for path in paths]
        node.run("rm", paths[1])
        pids = [node.pid for node in cells.clusters[0].nodes]
        own = {name for pid in pids for name in _spaces(Path(f"/proc/{pid}"))} - _spaces(Path("/proc/self"))
        self._spaces = {name for name in own if not name.startswith(("user:", "cgroup:", "time:"))}
        self._directory = cells.directory
        assert len(self._spaces) == 2 * 5
        assert {"loops", "namespaces", "files"} <= self.left()

    def left(self) -> set[str]:
        """Of all this, what is still there, and what no cell ever has."""
        every = {name for process in Path("/proc").glob("[0-9]*") for name in _spaces(process)}
        found = {
            "loops": any(loop.is_there() for loop in self._loops),
            "namespaces": self._spaces & every,
            "files": self._directory.exists(),
            "mounts": str(self._directory) in Path("/proc/self/mountinfo").read_text(),
            "network": {"br0", "node1"} & {name for _, name in socket.if_nameindex()},
        }
        return {name for name, there in found.items() if there}

    def until_nothing_is_left(self) -> None:
        """A loop device goes as soon as nobody looks at it: any program on the machine may."""
        wait_until("nothing is left", lambda: not self.left())


class _Loop:
    def __init__(self, name: str) -> None:
        self._device = Path("/sys/block", Path(name).name)
        self._sequence = self._number()

    def _number(self) -> str:
        """Another one for each file that the device was ever over."""
        return (self._device / "diskseq").read_text()

    def is_there(self) -> bool:
        return self._number() == self._sequence and (self._device / "loop" / "backing_file").exists()


def _spaces(process: Path) -> set[str]:
    found = set()
    with suppress(OSError):  # it has ended
        found = {os.readlink(path) for path in (process / "ns").iterdir() if not path.name.endswith("_for_children")}
    return found


def test_what_is_taken_down_leaves_nothing(cells: Cells) -> None:
    cells.start([2])
    use = Use(cells)
    cells.down()
    use.until_nothing_is_left()


def test_what_was_killed_is_removed_by_the_next_start(cells: Cells) -> None:
    words = [sys.executable, "-c", _HOLD, cells.directory.name]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n"
        use = Use(Cells.running(cells.directory.name))
        holder.kill()
    wait_until("it ended with its process", lambda: "namespaces" not in use.left())
    sweep()
    use.until_nothing_is_left()


def test_cells_that_run_are_not_swept(cells: Cells) -> None:
    cells.start([1])
    sweep()
    assert cells.clusters[0].nodes[0].run("echo", "there") == "there\n"


def test_a_start_that_fails_leaves_nothing(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="node1"):
        cells.start([1], version="2.0/../../nothing" * 300)  # too long for a link, in the middle of a node's start
    assert not cells.directory.exists()
