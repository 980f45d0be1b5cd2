"""Listens to the events of every server, on a monitor of its own, and turns them into news."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import Context
from typing import Any

import structlog

from cyclades.backends.base import News, SeenDisk
from cyclades.backends.local import machine
from cyclades.backends.local.home import Home
from cyclades.backends.local.qmp import Events, connected
from cyclades.model.errors import Fault, Passing

AGAIN = 1.0  # seconds until a monitor that another process has is asked for again
LOOK = 5.0  # seconds between looks at the servers that there are, and at their consoles

log = structlog.get_logger("cyclades.local")


class Listener:
    """`homes()` gives all servers. `unplugged(home, disk)` is called when a guest has let go of a volume, and says
    whether that is news; `powered_off(home)` when a guest has powered off."""

    def __init__(
        self,
        homes: Callable[[], list[Home]],
        unplugged: Callable[[Home, SeenDisk], Awaitable[bool]],
        powered_off: Callable[[Home], Awaitable[None]],
    ) -> None:
        self._homes, self._unplugged, self._powered_off = homes, unplugged, powered_off
        self._news: asyncio.Queue[News] = asyncio.Queue()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def news(self) -> AsyncIterator[News]:
        while True:
            yield await self._news.get()

    def open(self) -> None:
        """Listen to all servers that there are, and to those that another process makes later."""
        self._look()
        self._looking = asyncio.create_task(self._keep_looking(), name="look-at-servers")

    def follow(self, home: Home) -> None:
        """Listen to a server, if that is not done yet."""
        task = self._tasks.get(home.server_id)
        if task is None or task.done():
            listening = self._listen(home)
            # It outlives the operation that it may be called from: what it logs is not of that one.
            task = asyncio.create_task(listening, name=f"listen:{home.server_id}", context=Context())
            self._tasks[home.server_id] = task

    def leave(self, home: Home) -> None:
        """The server is deleted."""
        if (task := self._tasks.pop(home.server_id, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        tasks = [*self._tasks.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    async def _listen(self, home: Home) -> None:
        while home.pid() is not None:
            try:
                await self._hear(home)
            except Passing:
                # Another process may be listening; if that one goes, it is our turn.
                await asyncio.sleep(AGAIN)
            except Exception:
                log.exception("listener.unexpected", server=home.server_id)
                await asyncio.sleep(AGAIN)
        wanted = home.wanted()
        if wanted is not None and wanted.power == "on":
            self._tell(News(home.server_id, "crashed"))

    async def _hear(self, home: Home) -> None:
        names = ("DEVICE_DELETED", "SHUTDOWN", "RESET", "STOP", "RESUME")
        async with connected(home.events) as monitor:
            with monitor.listening(*names) as events:
                if (await monitor.command("query-status"))["status"] == "shutdown":
                    await self._down(home)
                while (event := await _next(events)) is not None:
                    await self._event(home, event["event"], event.get("data", {}))

    async def _event(self, home: Home, name: str, data: dict[str, object]) -> None:
        if name == "SHUTDOWN" and data.get("guest"):
            await self._down(home)
        elif name == "STOP":
            self._tell(News(home.server_id, "paused"))
        elif name == "RESUME" or (name == "RESET" and data.get("guest")):
            self._tell(News(home.server_id, "running"))
        elif name == "DEVICE_DELETED":
            disk = machine.disk_of(str(data.get("device", "")))
            if disk is not None:
                await self._let_go(home, disk)

    async def _let_go(self, home: Home, disk: SeenDisk) -> None:
        while True:
            try:
                is_news = await self._unplugged(home, disk)
                break
            except Passing:
                await asyncio.sleep(AGAIN)
            except Fault as fault:
                log.warning("listener.unplugged", server=home.server_id, volume=disk.volume_id, reason=str(fault))
                return
        if is_news:
            self._tell(News(home.server_id, "unplugged", disk.volume_id, disk.generation))

    async def _down(self, home: Home) -> None:
        await self._powered_off(home)
        self._tell(News(home.server_id, "stopped"))

    def _tell(self, news: News) -> None:
        self._news.put_nowait(news)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                self._look()
            except Exception:
                log.exception("listener.look")

    def _look(self) -> None:
        homes = {home.server_id: home for home in self._homes()}
        self._tasks = {key: task for key, task in self._tasks.items() if key in homes or not task.done()}
        for server_id, home in homes.items():
            task = self._tasks.get(server_id)
            is_new = task is None and home.wanted() is not None
            runs_again = task is not None and task.done() and home.pid() is not None
            if is_new or runs_again:
                self.follow(home)
            home.trim_console()


async def _next(events: Events) -> Mapping[str, Any] | None:
    """None when the connection has ended."""
    try:
        return await events.get()
    except Passing:
        return None
