"""What the cards of a qcow2 pool say to nodes of Ganeti's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import databases
from tests.pools.contract import A, B, S
from tests.pools.disk_io import content, open_elsewhere, write

from cyclades.model.errors import Failed, Passing
from cyclades.model.units import KIB, MIB
from cyclades.pools.base import at_rest
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store.database import Database


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    return tmp_path / "pool" / "cards"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Qcow2Pool]:
    database = Database(databases.Sqlite(tmp_path).with_tables(tmp_path))
    yield Qcow2Pool("fast", tmp_path / "pool", database)
    database.close()


def card(cards: Path, disk: str = A) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cards / f"{disk}.json").read_text())
    return found


def names(cards: Path) -> set[str]:
    return {path.name for path in cards.iterdir()}


async def top(pool: Qcow2Pool, disk: str = A) -> str:
    return (await pool.files(disk))[0].name


async def test_only_who_asks_for_one_gets_one(pool: Qcow2Pool, cards: Path) -> None:
    await pool.create(A, MIB)
    await pool.claim(A, "local/x", 1)
    await pool.release(A, "local/x", 1)
    assert names(cards) == set()
    await pool.claim(A, "c1/x", 2, card=True)
    assert card(cards) == {"disk": A, "layer": await top(pool), "size": MIB, "owner": "c1/x", "generation": 2}
    await pool.release(A, "c1/x", 2)
    assert (card(cards)["owner"], card(cards)["generation"]) == (None, 2)
    await pool.claim(A, "local/x", 3)
    assert (card(cards)["owner"], card(cards)["generation"]) == ("local/x", 3)
    with pytest.raises(Failed):
        await pool.claim(A, "c1/x", 4, card=True)
    assert card(cards)["owner"] == "local/x"
    await pool.release(A, "local/x", 3)
    await pool.delete(A)
    assert names(cards) == set()


async def test_the_card_names_the_layer_that_is_written_to(pool: Qcow2Pool, cards: Path, tmp_path: Path) -> None:
    await pool.create(A, MIB)
    await pool.claim(A, "c1/x", 1, card=True)
    first = await top(pool)
    await pool.snapshot(A, S, at_rest)
    assert card(cards)["layer"] == await top(pool) != first
    await pool.extend(A, 2 * MIB)
    assert card(cards)["size"] == 2 * MIB
    await write(pool, A, 0, KIB, 1)
    second = await top(pool)
    await pool.delete(S)
    assert card(cards)["layer"] == await top(pool) == second  # merged up: a node may open it at any time
    assert await content(pool, A, tmp_path) == (b"\1" * KIB).ljust(2 * MIB, b"\0")
    await pool.snapshot(A, S, at_rest)
    await pool.release(A, "c1/x", 1)
    await pool.revert(A, S)
    assert card(cards)["layer"] == await top(pool)
    await write(pool, A, 0, KIB, 2)
    await pool.delete(S)
    assert card(cards)["layer"] == await top(pool)
    assert await content(pool, A, tmp_path) == (b"\2" * KIB).ljust(2 * MIB, b"\0")


async def test_the_new_size_is_on_the_card_before_a_node_is_asked_to_grow(pool: Qcow2Pool, cards: Path) -> None:
    await pool.create(A, MIB)
    await pool.claim(A, "c1/x", 1, card=True)

    async def look() -> None:
        assert card(cards)["size"] == 2 * MIB
        raise Passing("seen")

    with pytest.raises(Passing, match="seen"):
        await pool.extend(A, 2 * MIB, look)
    with pytest.raises(Failed):
        await pool.extend(A, MIB - 512)
    assert card(cards)["size"] == 2 * MIB
    await pool.claim(A, "c1/x", 1, card=True)  # nobody grew it
    assert card(cards)["size"] == MIB


async def test_a_disk_that_a_node_has_open_is_not_free(pool: Qcow2Pool, cards: Path) -> None:
    await pool.create(A, MIB)
    await pool.claim(A, "c1/x", 1, card=True)
    bound = cards / f"{A}.1.bound"
    bound.write_text("one\n")
    async with pool.opening(A) as blockdev:
        pass
    async with open_elsewhere(blockdev):
        for change in (pool.release, pool.unbind):
            with pytest.raises(Passing, match="still open on a node"):
                await change(A, "c1/x", 1)
        await pool.release(A, "c1/y", 1)
        await pool.unbind(A, "c1/x", 2)
    assert card(cards)["owner"] == "c1/x"
    assert bound.exists()
    await pool.unbind(A, "c1/x", 1)
    assert not bound.exists()
    bound.write_text("two\n")
    await pool.release(A, "c1/x", 1)
    assert names(cards) == {f"{A}.json"}


async def test_what_came_with_its_attachment_is_bound_already(pool: Qcow2Pool, cards: Path) -> None:
    """As the provider on the nodes binds a disk that is added (tests/provider): a line with Ganeti's id of it."""
    await pool.create(A, MIB)
    for owner, generation in (("c1/x", 1), ("c1/y", 2)):
        with pytest.raises(Failed, match="not this server's"):
            await pool.bind(A, owner, generation, "one")
        await pool.claim(A, "c1/x", 2, card=True)
    for _ in range(2):
        await pool.bind(A, "c1/x", 2, "one")
        assert (cards / f"{A}.2.bound").read_text() == "one\n"
    await pool.release(A, "c1/x", 2)
    assert names(cards) == {f"{A}.json"}


async def test_a_renamed_disk_has_no_card(pool: Qcow2Pool, cards: Path) -> None:
    await pool.create(A, MIB)
    await pool.claim(A, "c1/x", 1, card=True)
    await pool.release(A, "c1/x", 1)
    await pool.rename(A, B)
    assert names(cards) == set()


async def test_tidy_makes_cards_true_and_removes_strangers(pool: Qcow2Pool, cards: Path) -> None:
    await pool.create(A, MIB)
    await pool.claim(A, "c1/x", 2, card=True)
    await pool.create(B, MIB)
    whole = card(cards)
    (cards / f"{A}.json").write_text("half")
    (cards / f"{A}.2.bound").write_text("one\n")
    (cards / f"{B}.1.bound").touch()
    for name in (f"{A}.1.bound", f"{A}.json.new", f"{A}.2.bound.77.new", "gone.json", "gone.3.bound"):
        (cards / name).touch()
    assert sorted(await pool.tidy()) == sorted(
        [
            f"wrote card {A}.json anew",
            *(f"removed file {name}" for name in (f"{A}.1.bound", f"{A}.json.new", f"{A}.2.bound.77.new")),
            *(f"removed file {name}" for name in (f"{B}.1.bound", "gone.json", "gone.3.bound")),
        ]
    )
    assert card(cards) == whole
    assert names(cards) == {f"{A}.json", f"{A}.2.bound"}
    assert await pool.tidy() == []
    assert not (cards.parent / "locks" / "disk-gone").exists()
