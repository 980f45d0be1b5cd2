"""One read for all who ask at the same time, and no answer that is older than its question."""

from __future__ import annotations

import asyncio

import pytest

from cyclades.backends.ganeti.together import Together
from cyclades.model.errors import Away


class Source:
    """What is read; each read goes on when it is let."""

    def __init__(self) -> None:
        self.value = 0
        self.reads: list[frozenset[str]] = []
        self.begun, self.let = asyncio.Event(), asyncio.Event()

    async def read(self, keys: frozenset[str]) -> dict[str, int]:
        self.reads.append(keys)
        self.begun.set()
        if "away" in keys:
            raise Away("away")
        found = dict.fromkeys(keys - {"missing"}, self.value)
        await self.let.wait()
        return found


async def test_who_asks_meanwhile_is_served_by_the_next() -> None:
    source = Source()
    together = Together(source.read)
    first = asyncio.create_task(together.get("a"))
    await source.begun.wait()
    source.value = 1  # the read that is under way does not know
    others = [asyncio.create_task(together.get(key)) for key in ("a", "b", "a", "missing")]
    await asyncio.sleep(0)
    source.let.set()
    assert await first == 0
    assert await asyncio.gather(*others) == [1, 1, 1, None]
    assert source.reads == [{"a"}, {"a", "b", "missing"}]


async def test_a_fault_is_everybodys_and_the_next_read_is_another() -> None:
    source = Source()
    source.let.set()
    together = Together(source.read)
    faults = await asyncio.gather(together.get("away"), together.get("a"), return_exceptions=True)
    assert [type(fault) for fault in faults] == [Away, Away]
    assert await together.get("a") == 0


async def test_who_goes_takes_nothing_from_the_others() -> None:
    source = Source()
    together = Together(source.read)
    goes, stays = (asyncio.create_task(together.get(key)) for key in ("a", "b"))
    await source.begun.wait()
    goes.cancel()
    with pytest.raises(asyncio.CancelledError):
        await goes
    source.let.set()
    assert await stays == 0
