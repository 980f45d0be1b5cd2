"""Looks, now and then, what servers do by themselves, all by one read, and turns what has changed into news."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import structlog

from cyclades.backends.base import News, Power
from cyclades.backends.ganeti.book import Book, Rows
from cyclades.backends.ganeti.instances import Instance
from cyclades.model.errors import Fault

_REST = 5  # times what a look took lie between it and the next, at least

log = structlog.get_logger("cyclades.ganeti")

_TOLD: dict[Power, Literal["running", "stopped", "crashed"]] = {
    "running": "running",
    "stopped": "stopped",
    "crashed": "crashed",
    "missing": "crashed",
}


class Watch:
    """`look` gives all our instances; `seconds` lie between two looks, more where one takes long."""

    def __init__(self, name: str, look: Callable[[], Awaitable[list[Instance]]], book: Book, seconds: float) -> None:
        self._name, self._look, self._book, self._seconds = name, look, book, seconds
        self._news: asyncio.Queue[News] = asyncio.Queue()
        self._known: dict[str, Power] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.create_task(self._keep_looking(), name=f"watch:{self._name}")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def news(self) -> AsyncIterator[News]:
        while True:
            yield await self._news.get()

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        was_away = False
        while True:
            begun = loop.time()
            try:
                await self._once()
                was_away = False
            except Fault as fault:
                if not was_away:
                    log.warning("ganeti.watch", backend=self._name, reason=str(fault))
                was_away = True
            except Exception:
                log.exception("ganeti.watch", backend=self._name)
            await asyncio.sleep(max(self._seconds, _REST * (loop.time() - begun)))

    async def _once(self) -> None:
        rows = await self._book.all()
        seen = {instance.server_id: instance for instance in await self._look()}
        self._compare({server_id: instance.power for server_id, instance in seen.items()})
        await self._let_go(rows, seen)

    def _compare(self, powers: dict[str, Power]) -> None:
        known = {server_id: power for server_id, power in powers.items() if power != "unknown"}
        gone: dict[str, Power] = dict.fromkeys(self._known.keys() - powers.keys(), "missing")
        for server_id, power in {**known, **gone}.items():
            before = self._known.get(server_id)
            # One that is seen for the first time was looked at by who opened us, unless it has died since.
            if power != before and (before is not None or power == "crashed"):
                self._news.put_nowait(News(server_id, _TOLD[power]))
        self._known = {**{key: power for key, power in self._known.items() if key in powers}, **known}

    async def _let_go(self, rows: Rows, seen: dict[str, Instance]) -> None:
        """Disks that guests held after they were removed are free when their machine is down."""
        for row in rows.values():
            instance = seen.get(row.server_id)
            if row.held and (instance is None or instance.power in ("stopped", "crashed")):
                await self._book.left([row])
                self._news.put_nowait(News(row.server_id, "unplugged", row.volume_id, row.generation))
