"""What tests of backends work with: servers over the disks of a pool, without a guest in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from tests.pools.disk_io import qemu_io

from cyclades.backends.base import Backend, News, Plug, ServerSpec
from cyclades.model.errors import Passing
from cyclades.model.names import volume_disk
from cyclades.model.units import MIB
from cyclades.pools.base import Pool

LIMIT = 120.0  # seconds that anything may take before a test gives up

T = TypeVar("T")


@dataclass
class Ground:
    """A backend and a pool that its servers' disks are in. `hurry` is the patience for guests that are not there.
    `card`: the pool leaves a card for the machines that run servers. `memory` (MiB) is a server's, `size`
    (bytes) a volume's. `answers` waits until the guest of a running server does what it is asked; nobody waits where
    the machine alone is enough."""

    backend: Backend
    pool: Pool
    hurry: float = 0.1
    card: bool = False
    memory: int = 64
    size: int = MIB
    answers: Callable[[str], Awaitable[None]] | None = None
    volumes: list[str] = field(default_factory=list)

    async def volume(self, size: int | None = None) -> str:
        """A new volume; its id."""
        volume_id = str(uuid4())
        await self.pool.create(volume_disk(volume_id), size or self.size)
        self.volumes.append(volume_id)
        return volume_id

    async def plug(self, server_id: str, volume_id: str, index: int, generation: int = 1, **more: Any) -> Plug:
        """The plug of an attachment, claimed as an operation would before it plugs."""
        disk = volume_disk(volume_id)
        await self.pool.claim(disk, f"{self.backend.name}/{server_id}", generation, card=self.card)
        found = await self.pool.find(disk)
        return Plug(volume_id, disk, self.pool, index, generation, size=found.size if found else self.size, **more)

    async def spec(self, *volumes: str, **more: Any) -> ServerSpec:
        """A small server with a root of its own and these volumes."""
        server_id = str(uuid4())
        plugs = [await self.plug(server_id, v, i) for i, v in enumerate([await self.volume(), *volumes])]
        values = {"project_id": "0" * 32, "hostname": "one", "vcpus": 1, "memory": self.memory, "plugs": tuple(plugs)}
        return ServerSpec(server_id=server_id, **(values | more))  # type: ignore[arg-type]

    async def running(self, *volumes: str, **more: Any) -> ServerSpec:
        """A server that runs."""
        spec = await self.spec(*volumes, **more)
        await self.backend.start(spec)
        return spec

    async def until_up(self, server_id: str) -> None:
        """Wait until its guest lets go of a disk that it is asked for, where that takes a guest."""
        if self.answers is not None:
            await self.answers(server_id)

    async def seen(self, server_id: str) -> tuple[str, dict[str, tuple[int | None, int]]]:
        """Its power, and index and generation of each volume."""
        found = await self.backend.look(server_id)
        assert found.server_id == server_id
        return found.power, {disk.volume_id: (disk.index, disk.generation) for disk in found.disks}

    async def is_free(self, volume_id: str) -> bool:
        """Whether nobody has the volume open: it can be written."""
        async with self.pool.opening(volume_disk(volume_id)) as blockdev:
            try:
                await qemu_io(blockdev, "write -P 1 0 512")
            except AssertionError:
                return False
        return True

    async def news(self, what: str) -> News:
        """The next news of this kind; others are passed over."""
        async with asyncio.timeout(LIMIT):
            async for news in self.backend.news():
                if news.what == what:
                    return news
        raise AssertionError("the backend was closed")

    async def forget_news(self) -> None:
        """Pass over what was told so far."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                async for _ in self.backend.news():
                    pass


async def persistently(call: Callable[[], Awaitable[T]]) -> T:
    """As the engine does: once more for what may pass."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                return await call()
            except Passing:
                await asyncio.sleep(0.05)


async def until(met: Callable[[], Any], *, pause: float = 0.02) -> Any:
    """Look until it is so, with `pause` seconds between looks."""
    async with asyncio.timeout(LIMIT):
        while not (found := met()):  # noqa: ASYNC110 (files and processes tell nobody)
            await asyncio.sleep(pause)
    return found


def lines_of(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []
