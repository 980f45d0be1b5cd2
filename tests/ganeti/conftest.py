"""Two clusters for a run of these tests, which all of them share: `make test-ganeti`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells
from tests.ganeti.guest import Kernel, unpack
from tests.ganeti.plan import VERSIONS
from tests.ganeti.rapi import Rapi, connect


@pytest.fixture(scope="session")
def cells() -> Iterator[Cells]:
    """c1 with two nodes and c2 with one, of the Ganeti that the variable GANETI names, and `shared`, a directory that
    is the same on this machine and on all nodes. If CYCLADES_CELLS is set: those of that name, started by hand."""
    if os.geteuid() != 0:
        pytest.exit("these tests need root: each node of a cluster has namespaces and mounts of its own", 2)
    version = os.environ.get("GANETI", VERSIONS[-1])
    if version not in VERSIONS:
        pytest.exit(f"GANETI is one of {' and '.join(VERSIONS)}, not {version!r}", 2)
    if by_hand := os.environ.get("CYCLADES_CELLS"):
        yield Cells.running(by_hand)
        return
    cells = Cells(f"tests-{os.getpid()}")
    cells.up([2, 1], version=version)
    yield cells
    cells.down()


@pytest.fixture(scope="session")
def c1(cells: Cells) -> Cell:
    return cells.clusters[0]


@pytest.fixture(scope="session")
def c2(cells: Cells) -> Cell:
    return cells.clusters[1]


@pytest.fixture(scope="session")
def rapi1(c1: Cell) -> Iterator[Rapi]:
    with connect(c1) as rapi:
        yield rapi


@pytest.fixture(scope="session")
def rapi2(c2: Cell) -> Iterator[Rapi]:
    with connect(c2) as rapi:
        yield rapi


@pytest.fixture(scope="session")
def guest_kernel(cells: Cells, guest_image: Path) -> Kernel:
    """The small guest without its disk, for KVM instances whose disks are empty."""
    return unpack(guest_image, cells.shared / "guest")
