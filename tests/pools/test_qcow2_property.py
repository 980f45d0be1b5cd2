"""Random sequences of what people do with disks, against plain byte arrays."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests import databases
from tests.pools.disk_io import content, write

from cyclades.model.names import snapshot_disk, volume_disk
from cyclades.model.units import KIB
from cyclades.pools.base import at_rest
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store import layers as rows
from cyclades.store.database import Database

_STEP = 32 * KIB  # half a cluster, so that layers share clusters
_picks = st.integers(0, 1 << 16)


class Disks(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.database = Database(databases.Sqlite(self.directory).with_tables(self.directory))
        self.pool = Qcow2Pool("local", self.directory / "pool", self.database, deepest=4)
        self.runner = asyncio.Runner()
        self.volumes: dict[str, bytearray] = {}
        self.snapshots: dict[str, bytes] = {}
        self.serial = 0

    def teardown(self) -> None:
        try:
            for name, expected in {**self.volumes, **self.snapshots}.items():
                assert self.runner.run(content(self.pool, name, self.directory)) == expected, name
            for name in (*self.snapshots, *self.volumes):
                self.runner.run(self.pool.delete(name))
            assert list((self.directory / "pool" / "layers").iterdir()) == []
            assert self.database.read_now(lambda tx: rows.ids(tx, "local")) == set()
        finally:
            self.runner.close()
            self.database.close()
            shutil.rmtree(self.directory)

    def _name(self) -> str:
        self.serial += 1
        return str(self.serial)

    @initialize(steps=st.integers(1, 8))
    def begin(self, steps: int) -> None:
        self.create(steps)

    @rule(steps=st.integers(1, 8))
    def create(self, steps: int) -> None:
        name = volume_disk(self._name())
        self.runner.run(self.pool.create(name, steps * _STEP))
        self.volumes[name] = bytearray(steps * _STEP)

    @precondition(lambda self: self.volumes)
    @rule(pick=_picks, begin=_picks, length=_picks, byte=st.integers(1, 255))
    def write(self, pick: int, begin: int, length: int, byte: int) -> None:
        name = _choose(pick, self.volumes)
        size = len(self.volumes[name])
        begin = begin % (size // 512) * 512
        length = (length % ((size - begin) // 512) + 1) * 512
        self.runner.run(write(self.pool, name, begin, length, byte))
        self.volumes[name][begin : begin + length] = bytes([byte]) * length

    @precondition(lambda self: self.volumes)
    @rule(pick=_picks)
    def snapshot(self, pick: int) -> None:
        name, snapshot = _choose(pick, self.volumes), snapshot_disk(self._name())
        self.runner.run(self.pool.snapshot(name, snapshot, at_rest))
        self.snapshots[snapshot] = bytes(self.volumes[name])

    @precondition(lambda self: self.snapshots)
    @rule(pick=_picks, more=st.integers(0, 3))
    def clone(self, pick: int, more: int) -> None:
        source, name = _choose(pick, self.snapshots), volume_disk(self._name())
        expected = bytearray(self.snapshots[source]) + bytes(more * _STEP)
        self.runner.run(self.pool.clone(name, source, len(expected)))
        self.volumes[name] = expected

    @precondition(lambda self: self.volumes)
    @rule(pick=_picks, more=st.integers(0, 3))
    def extend(self, pick: int, more: int) -> None:
        name = _choose(pick, self.volumes)
        self.volumes[name] += bytes(more * _STEP)
        self.runner.run(self.pool.extend(name, len(self.volumes[name])))

    @precondition(lambda self: self.volumes and self.snapshots)
    @rule(volume=_picks, snapshot=_picks)
    def revert(self, volume: int, snapshot: int) -> None:
        """To any snapshot that fits: the pool does not ask whose it was."""
        name, source = _choose(volume, self.volumes), _choose(snapshot, self.snapshots)
        size, kept = len(self.volumes[name]), self.snapshots[source]
        if len(kept) <= size:
            self.runner.run(self.pool.revert(name, source))
            self.volumes[name] = bytearray(kept.ljust(size, b"\0"))

    @precondition(lambda self: self.volumes)
    @rule(pick=_picks)
    def delete_volume(self, pick: int) -> None:
        name = _choose(pick, self.volumes)
        self.runner.run(self.pool.delete(name))
        del self.volumes[name]

    @precondition(lambda self: self.snapshots)
    @rule(pick=_picks)
    def delete_snapshot(self, pick: int) -> None:
        name = _choose(pick, self.snapshots)
        self.runner.run(self.pool.delete(name))
        del self.snapshots[name]

    @invariant()
    def every_disk_is_there_and_nothing_more(self) -> None:
        disks = {disk.name: disk.size for disk in self.runner.run(self.pool.disks())}
        assert disks == {name: len(body) for name, body in (*self.volumes.items(), *self.snapshots.items())}
        files = {path.name.partition(".")[0] for path in (self.directory / "pool" / "layers").iterdir()}
        assert files == self.database.read_now(lambda tx: rows.ids(tx, "local"))
        loose = self.database.read_now(lambda tx: rows.loose(tx, "local", most_children=1))
        assert loose == []


def _choose(pick: int, names: dict[str, bytearray] | dict[str, bytes]) -> str:
    return sorted(names)[pick % len(names)]


TestDisks = Disks.TestCase
TestDisks.settings = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
