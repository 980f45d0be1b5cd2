"""One read for all who ask at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Together(Generic[K, V]):
    """`read` finds values by their keys. Who asks while a read is under way waits for the next one, with all others who
    do: so what anybody gets was read after it had been asked for."""

    def __init__(self, read: Callable[[frozenset[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
        self._turn = asyncio.Lock()
        self._next: _Batch[K, V] | None = None

    async def get(self, key: K) -> V | None:
        """Raises what the read raises."""
        batch = self._next
        if batch is None:
            batch = self._next = _Batch()
            batch.found = asyncio.create_task(self._serve(batch))
            batch.found.add_done_callback(_heard)
        batch.keys.add(key)
        return (await asyncio.shield(batch.found)).get(key)

    async def _serve(self, batch: _Batch[K, V]) -> Mapping[K, V]:
        async with self._turn:
            self._next = None
            return await self._read(frozenset(batch.keys))


class _Batch(Generic[K, V]):
    found: asyncio.Task[Mapping[K, V]]

    def __init__(self) -> None:
        self.keys: set[K] = set()


def _heard(task: asyncio.Task[Mapping[K, V]]) -> None:
    """All who waited may have gone."""
    if not task.cancelled():
        task.exception()
