"""Real Ganeti clusters on this machine, side by side, as root.

    python -m tests.ganeti.cells up [--name NAME] [--ganeti 3.0] [--nodes 2,1]     clusters c1 (2 nodes) and c2 (1 node)
    python -m tests.ganeti.cells exec [--name NAME] c1/node2 -- COMMAND …          in a node, as root
    python -m tests.ganeti.cells down [--name NAME]
    python -m tests.ganeti.cells list

docs/testing-ganeti.md has more.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.ganeti import loops
from tests.ganeti.cell import Cell, end
from tests.ganeti.plan import VERSIONS, Plan

PLACE = Path("/var/tmp/cyclades-cells")
_BUILD = Path(__file__).parent / "node" / "build"


class Cells:
    """Clusters that share the directory `shared`, which has the same path on the machine and on all of their nodes. All
    there is of them is in `PLACE/name`."""

    def __init__(self, name: str) -> None:
        self.directory = PLACE / name
        self.shared = self.directory / "shared"
        self.clusters: list[Cell] = []
        self._lock: int | None = None

    @classmethod
    def running(cls, name: str) -> Cells:
        """Those that another process started."""
        cells = cls(name)
        cells.clusters = [Cell(Plan.load(path.parent)) for path in sorted(cells.directory.glob("*/plan.json"))]
        return cells

    def up(self, nodes: Sequence[int], *, version: str = "3.1", lingers: bool = False) -> None:
        """Start a cluster for each number of nodes: c1, c2 and so on. Unless it `lingers`, each ends with the thread
        that calls this, however that ends."""
        self.start(nodes, version=version, lingers=lingers)
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(Cell.make_cluster, self.clusters))
        except BaseException:
            self.down()
            raise

    def start(self, nodes: Sequence[int], *, version: str = "3.1", lingers: bool = False) -> None:
        """The first half of `up`: the nodes, without any Ganeti in them."""
        if os.geteuid() != 0:
            raise PermissionError("clusters of Ganeti need root, for namespaces and mounts")
        root = Path(subprocess.run([_BUILD], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
        sweep()
        with _alone():
            self.directory.mkdir()
            self._lock = _lock(self.directory)
        self.shared.mkdir()
        try:
            for index, count in enumerate(nodes, start=1):
                self.clusters.append(self._start(f"c{index}", root, count, version, lingers=lingers))
            for cell in self.clusters:
                cell.until_up()
        except BaseException:
            self.down()
            raise

    def _start(self, name: str, root: Path, nodes: int, version: str, *, lingers: bool) -> Cell:
        directory = self.directory / name
        directory.mkdir()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = int(listener.getsockname()[1])
            plan = Plan(directory, root, self.shared, nodes, version, port, secrets.token_hex(8))
            plan.save()
            cell = Cell(plan)
            assert self._lock is not None
            cell.start(listener, [self._lock], lingers=lingers)
        return cell

    def down(self) -> None:
        """End them all, and remove all that they had."""
        loops.free(self.directory)  # while their paths can be told
        for cell in self.clusters:
            cell.stop()
        with _alone():
            _remove(self.directory)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep() -> None:
    """Remove what is left of cells that have ended without being taken down."""
    with _alone():
        for directory in PLACE.iterdir():
            with suppress(BlockingIOError):  # they run
                lock = _lock(directory)
                _remove(directory)
                os.close(lock)


def _remove(directory: Path) -> None:
    for path in directory.glob("*/pid"):
        end(path.parent)
    loops.free(directory)
    shutil.rmtree(directory)


def _lock(directory: Path) -> int:
    """Held by who starts cells, and by each of them. Raises BlockingIOError."""
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise
    return lock


@contextmanager
def _alone() -> Iterator[None]:
    """Nobody else makes or removes directories of cells meanwhile."""
    PLACE.mkdir(exist_ok=True)
    lock = os.open(PLACE, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


# --- by hand --------------------------------------------------------------------------------------------


def _up(given: argparse.Namespace) -> int:
    cells = Cells(given.name)
    cells.up([int(count) for count in given.nodes.split(",")], version=given.ganeti, lingers=True)
    for cell in cells.clusters:
        print(f"{cell.name}: RAPI at {cell.url}, all that a client needs in {cell.plan.directory / 'env'}")
    print(f"shared between all nodes and this machine: {cells.shared}")
    return 0


def _exec(given: argparse.Namespace) -> int:
    cluster, _, node = given.node.partition("/")
    nodes = {cell.name: cell.nodes for cell in Cells.running(given.name).clusters}[cluster]
    words = given.words[1:] if given.words[:1] == ["--"] else given.words
    return subprocess.run(nodes[int(node.removeprefix("node")) - 1].command(*words), check=False).returncode


def _down(given: argparse.Namespace) -> int:
    Cells.running(given.name).down()
    return 0


def _list(given: argparse.Namespace) -> int:
    for directory in sorted(PLACE.glob("*")):
        for cell in Cells.running(directory.name).clusters:
            print(
                f"{directory.name} {cell.name}: Ganeti {cell.plan.version}, {len(cell.nodes)} nodes, RAPI at {cell.url}"
            )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for verb in (_up, _exec, _down, _list):
        one = verbs.add_parser(verb.__name__.removeprefix("_"))
        one.set_defaults(verb=verb)
        if verb is not _list:
            one.add_argument("--name", default="hand", help="of these clusters (default: %(default)s)")
        if verb is _up:
            one.add_argument("--ganeti", default=VERSIONS[-1], choices=VERSIONS)
            one.add_argument("--nodes", default="2,1", help="of each cluster (default: %(default)s)")
        if verb is _exec:
            one.add_argument("node", help="such as c1/node1, which is c1's master")
            one.add_argument("words", nargs=argparse.REMAINDER, help="the command")
    given = parser.parse_args()
    return int(given.verb(given))


if __name__ == "__main__":
    sys.exit(main())
