"""Every verb of the qcow2 pool, stopped at every point between two effects; then repeated, or undone.

An engine that dies is an exception that nobody catches, raised after a write to the books, a piece of work on
files, or a run of qemu-img.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import databases
from tests.pools.contract import IMAGE, A, B, S, T
from tests.pools.disk_io import content, qemu_io, write

from cyclades.model.units import KIB
from cyclades.pools import qemu_img
from cyclades.pools.base import at_rest
from cyclades.pools.qcow2 import Qcow2Pool, stream
from cyclades.pools.qcow2.layers import blockdev
from cyclades.store import layers as rows
from cyclades.store.database import Database

_SIZE = 256 * KIB
_ONE = (b"\1" * KIB).ljust(_SIZE, b"\0")
_TWO = (b"\1" * KIB + b"\2" * KIB).ljust(_SIZE, b"\0")


class Crash(BaseException):
    pass


class Points:
    """Counts the points that are passed, and crashes at one of them."""

    def __init__(self) -> None:
        self.left: int | None = None

    def arm(self, point: int) -> None:
        self.left = point

    def disarm(self) -> None:
        self.left = None

    def around(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def inner(*args: Any, **kwargs: Any) -> Any:
            result = await function(*args, **kwargs)
            self._pass()  # before the next is as good as after this
            return result

        return inner

    def _pass(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise Crash
            self.left -= 1


@dataclass(frozen=True)
class Engine:
    """A pool that crashes at a point, on books and files of its own."""

    pool: Qcow2Pool
    database: Database
    layers: Path


class Lab:
    """Makes what a case begins with once, and gives copies of it."""

    def __init__(self, directory: Path, points: Points) -> None:
        self._directory, self._points = directory, points
        self._first = directory / "first"
        self._first.mkdir()
        databases.Sqlite(directory).with_tables(self._first)

    @contextmanager
    def first(self) -> Iterator[Engine]:
        with self._engine(self._first) as engine:
            yield engine

    @contextmanager
    def copy(self, number: int) -> Iterator[Engine]:
        path = self._directory / str(number)
        shutil.copytree(self._first, path)
        with self._engine(path) as engine:
            yield engine
        shutil.rmtree(path)

    @contextmanager
    def _engine(self, path: Path) -> Iterator[Engine]:
        database = Database(f"sqlite:///{path / 'cyclades.db'}")
        database.write = self._points.around(database.write)  # type: ignore[method-assign, assignment]
        yield Engine(Qcow2Pool("local", path / "pool", database, deepest=3), database, path / "pool" / "layers")
        database.close()


@pytest.fixture
def lab(tmp_path: Path, points: Points) -> Lab:
    """SQLite alone: what is interrupted here is between the transactions."""
    return Lab(tmp_path, points)


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Points:
    points = Points()
    monkeypatch.setattr(asyncio, "to_thread", points.around(asyncio.to_thread))
    monkeypatch.setattr(qemu_img, "run", points.around(qemu_img.run))
    monkeypatch.setattr(stream, "pull", points.around(stream.pull))
    return points


Verb = Callable[[Qcow2Pool], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """`after` is what disks hold once `verb` was done or repeated; undone, all is as after `before`."""

    before: Verb
    verb: Verb
    after: dict[str, bytes]
    undo: Verb | None = None


async def nothing(pool: Qcow2Pool) -> None:
    pass


async def volume(pool: Qcow2Pool) -> None:
    await pool.create(A, _SIZE)
    await write(pool, A, 0, KIB, 1)


async def snapshot(pool: Qcow2Pool) -> None:
    await volume(pool)
    await pool.snapshot(A, S, at_rest)


async def changed(pool: Qcow2Pool) -> None:
    await snapshot(pool)
    await write(pool, A, KIB, KIB, 2)


async def much_changed(pool: Qcow2Pool) -> None:
    await snapshot(pool)
    await write(pool, A, 64 * KIB, 192 * KIB, 3)


async def two_snapshots(pool: Qcow2Pool) -> None:
    await changed(pool)
    await pool.snapshot(A, T, at_rest)


async def cloned(pool: Qcow2Pool) -> None:
    await snapshot(pool)
    await pool.clone(B, S, _SIZE)
    await pool.delete(S)


async def deep(pool: Qcow2Pool) -> None:
    await changed(pool)
    await pool.snapshot(A, "snf-snap-deep", at_rest)


def raw_file(pool: Qcow2Pool) -> Path:
    path = pool._files.layers.parent.parent / "image.raw"
    path.write_bytes(_ONE)
    return path


async def import_raw(pool: Qcow2Pool) -> None:
    await pool.import_image(IMAGE, raw_file(pool), "raw")


async def with_an_image(pool: Qcow2Pool) -> None:
    await import_raw(pool)
    await pool.create(A, _SIZE)
    await write(pool, A, 0, _SIZE, 3)


async def import_qcow2(pool: Qcow2Pool) -> None:
    path = raw_file(pool).with_suffix(".qcow2")
    if not path.exists():
        await qemu_img.convert(raw_file(pool), "raw", path, "qcow2")
    await pool.import_image(IMAGE, path, "qcow2")


async def receive(pool: Qcow2Pool) -> None:
    await pool.receive(B, _SIZE, lambda target, fds: pool.export(A, target, "qcow2", fds=fds))


async def dropped(pool: Qcow2Pool) -> None:
    (pool._files.incoming / "file").write_bytes(_ONE)


CASES = {
    "create": Case(nothing, lambda p: p.create(A, _SIZE), {A: bytes(_SIZE)}, lambda p: p.delete(A)),
    "clone": Case(snapshot, lambda p: p.clone(B, S, _SIZE), {A: _ONE, S: _ONE, B: _ONE}, lambda p: p.delete(B)),
    "snapshot": Case(volume, lambda p: p.snapshot(A, S, at_rest), {A: _ONE, S: _ONE}, lambda p: p.delete(S)),
    "snapshot of a snapshotted": Case(
        changed, lambda p: p.snapshot(A, T, at_rest), {A: _TWO, S: _ONE, T: _TWO}, lambda p: p.delete(T)
    ),
    "snapshot of a deep one": Case(
        deep,
        lambda p: p.snapshot(A, T, at_rest),
        {A: _TWO, S: _ONE, T: _TWO, "snf-snap-deep": _TWO},
        lambda p: p.delete(T),
    ),
    "revert": Case(changed, lambda p: p.revert(A, S), {A: _ONE, S: _ONE}),
    "extend": Case(changed, lambda p: p.extend(A, 2 * _SIZE), {A: _TWO + bytes(_SIZE), S: _ONE}),
    "delete a volume": Case(volume, lambda p: p.delete(A), {}),
    "delete a volume and keep its snapshot": Case(changed, lambda p: p.delete(A), {S: _ONE}),
    "delete a volume and keep its clone": Case(cloned, lambda p: p.delete(A), {B: _ONE}),
    "delete a snapshot, merging down": Case(changed, lambda p: p.delete(S), {A: _TWO}),
    "delete a snapshot, merging up": Case(
        much_changed, lambda p: p.delete(S), {A: (b"\1" * KIB).ljust(64 * KIB, b"\0") + b"\3" * 192 * KIB}
    ),
    "delete a snapshot below another": Case(two_snapshots, lambda p: p.delete(S), {A: _TWO, T: _TWO}),
    "receive": Case(changed, receive, {A: _TWO, S: _ONE, B: _TWO}, lambda p: p.delete(B)),
    "rename a volume": Case(
        changed, lambda p: p.rename(A, "free"), {"free": _TWO, S: _ONE}, lambda p: p.rename("free", A)
    ),
    "rename a snapshot": Case(
        changed, lambda p: p.rename(S, "free"), {A: _TWO, "free": _ONE}, lambda p: p.rename("free", S)
    ),
    "adopt a file": Case(dropped, lambda p: p.adopt(A, "incoming/file", _SIZE), {A: _ONE}),
    "adopt a disk": Case(changed, lambda p: p.adopt(B, A, 2 * _SIZE), {B: _TWO + bytes(_SIZE), S: _ONE}),
    "revert to an image": Case(with_an_image, lambda p: p.revert(A, IMAGE), {A: _ONE, IMAGE: _ONE}),
    "import raw": Case(nothing, import_raw, {IMAGE: _ONE}, lambda p: p.delete(IMAGE)),
    "import qcow2": Case(nothing, import_qcow2, {IMAGE: _ONE}, lambda p: p.delete(IMAGE)),
}


@pytest.mark.parametrize(
    ("name", "then"),
    [(name, then) for name, case in CASES.items() for then in ("repeat", "undo") if then == "repeat" or case.undo],
)
async def test_stopped_anywhere(name: str, then: str, lab: Lab, tmp_path: Path, points: Points) -> None:
    case = CASES[name]
    with lab.first() as engine:
        await case.before(engine.pool)
        before = await contents(engine.pool, tmp_path)
    verb, expected = (case.verb, case.after) if then == "repeat" else (case.undo, before)
    assert verb is not None
    point, crashed = 0, True
    while crashed:
        with lab.copy(point) as engine:
            points.arm(point)
            try:
                await case.verb(engine.pool)
                crashed = False
            except Crash:
                point += 1
            points.disarm()
            await verb(engine.pool)
            if not expected:
                assert list(engine.layers.iterdir()) == []  # without waiting for tidy
            if await engine.pool.tidy():
                assert await engine.pool.tidy() == []
            assert await contents(engine.pool, tmp_path) == expected
            for disk in await engine.pool.disks():
                await engine.pool.delete(disk.name)
            assert list(engine.layers.iterdir()) == []
            assert engine.database.read_now(lambda tx: rows.ids(tx, "local")) == set()
            assert engine.database.read_now(lambda tx: rows.disks(tx, "local")) == []
    assert point >= 1


OWNED = [
    "snapshot",
    "snapshot of a snapshotted",
    "snapshot of a deep one",
    "extend",
    "delete a snapshot, merging down",
    "delete a snapshot, merging up",
    "delete a snapshot below another",
    "rename a snapshot",
]


@pytest.mark.parametrize("name", OWNED)
async def test_a_node_may_open_the_disk_wherever_it_stopped(
    name: str, lab: Lab, tmp_path: Path, points: Points
) -> None:
    """The server is off, its volume's disk has a card. After the crash the server is started and writes: the volume has
    that in the end, and what was kept beside it then is as it was."""
    case = CASES[name]
    with lab.first() as engine:
        await case.before(engine.pool)
        await engine.pool.claim(A, "c1/x", 1, card=True)
    point, crashed = 0, True
    while crashed:
        with lab.copy(point) as engine:
            points.arm(point)
            try:
                await case.verb(engine.pool)
                crashed = False
            except Crash:
                point += 1
            points.disarm()
            kept = await contents(engine.pool, tmp_path, but=A)
            card = json.loads((engine.layers.parent / "cards" / f"{A}.json").read_text())
            assert (card["owner"], card["generation"]) == ("c1/x", 1)
            await qemu_io(blockdev(engine.layers / card["layer"]), f"write -P 5 {4 * KIB} {KIB}", "flush")
            await case.verb(engine.pool)
            if await engine.pool.tidy():
                assert await engine.pool.tidy() == []
            found = await contents(engine.pool, tmp_path)
            assert set(found) == set(case.after)
            assert found.pop(A) == written(case.after[A])
            for disk, now in found.items():
                assert now == kept[disk] if disk in kept else now in (case.after[disk], written(case.after[disk]))
    assert point >= 1


@pytest.mark.parametrize("verb", ["claim", "release", "unbind"])
async def test_cards_are_true_once_it_is_repeated(verb: str, lab: Lab, points: Points) -> None:
    """And before that, a card names nobody whom the books do not name, but who has just lost the disk."""
    with lab.first() as engine:
        await volume(engine.pool)
        if verb != "claim":
            await engine.pool.claim(A, "c1/x", 1, card=True)
            (engine.layers.parent / "cards" / f"{A}.1.bound").write_text("one\n")
    more = {"card": True} if verb == "claim" else {}
    owner = None if verb == "release" else "c1/x"
    point, crashed = 0, True
    while crashed:
        with lab.copy(point) as engine:
            cards = engine.layers.parent / "cards"
            points.arm(point)
            try:
                await getattr(engine.pool, verb)(A, "c1/x", 1, **more)
                crashed = False
            except Crash:
                point += 1
            points.disarm()
            if verb == "claim" and (cards / f"{A}.json").exists():
                found = await engine.pool.find(A)
                assert found is not None
                assert found.owner == "c1/x"
            await getattr(engine.pool, verb)(A, "c1/x", 1, **more)
            assert json.loads((cards / f"{A}.json").read_text())["owner"] == owner
            assert [path.name for path in cards.iterdir()] == [f"{A}.json"]
            assert await engine.pool.tidy() == []
    assert point >= 1


def written(content: bytes) -> bytes:
    return content[: 4 * KIB] + b"\5" * KIB + content[5 * KIB :]


async def contents(pool: Qcow2Pool, directory: Path, but: str | None = None) -> dict[str, bytes]:
    names = [disk.name for disk in await pool.disks() if disk.name != but]
    return {name: await content(pool, name, directory) for name in names}
