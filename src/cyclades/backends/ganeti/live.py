"""A volume that a running instance has, as pools reach it (`pools.base.LiveDisk`): Ganeti lets it grow, no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cyclades.model.errors import Failed
from cyclades.pools.base import Blockdev, Progress

Grow = Callable[[int], Awaitable[None]]


class GanetiLiveDisk:
    """`grow` makes it so many bytes large, through Ganeti."""

    def __init__(self, grow: Grow) -> None:
        self._grow = grow

    async def resize(self, size: int) -> None:
        await self._grow(size)

    async def top(self) -> str:
        raise _refusal()

    async def switch(self, overlay: Blockdev) -> None:
        raise _refusal()

    async def pull(self, base: str | None, progress: Progress) -> None:
        raise _refusal()


def _refusal() -> Failed:
    return Failed("While a server on Ganeti runs, the layers of its disks cannot be changed; stop the server first.")
