"""What happens to servers by itself: guests that power off, machines that die, volumes let go of late.

News only says where to look. What is written is what the backend shows, and only if nothing has changed the server's
row since before that look; so news that comes late, twice or never does no harm.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Row

from cyclades.backends.base import Backend, News, SeenServer
from cyclades.model.errors import Fault, NotFound, Refusal
from cyclades.operations import volume_detach
from cyclades.operations.base import World
from cyclades.store import attachments, servers
from cyclades.store.database import Tx

LOOK_AGAIN = 2.0  # seconds after which what could not be settled is tried again

log = structlog.get_logger("cyclades.news")

_DIED = "The server's machine ended unexpectedly. Start the server to go on."
_STANDS_STILL = "The server's machine stands still, as when its pool is full. Reboot it hard to go on."
UNKNOWN = "The backend does not have the server any more. Start the server to make it again."


async def follow(world: World, backend: Backend) -> None:
    """Keep the rows of an open backend's servers true, until cancelled. Begins with what was missed before."""
    follower = _Follower(world, backend)
    stop_listening = world.db.listen("ended", follower.wake.set)
    reader = asyncio.create_task(follower.read(), name=f"news:{backend.name}")
    try:
        await follower.work()
    finally:
        stop_listening()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


class _Follower:
    def __init__(self, world: World, backend: Backend) -> None:
        self.world, self.backend = world, backend
        self.wake = asyncio.Event()
        self.unsettled: dict[str, None] = {}  # servers to look at, in order
        self.let_go: list[News] = []  # volumes that were unplugged late

    async def read(self) -> None:
        async for news in self.backend.news():
            log.info("news", server=news.server_id, what=news.what, volume=news.volume_id)
            if news.what == "unplugged":
                self.let_go.append(news)
            else:
                self.unsettled[news.server_id] = None
            self.wake.set()

    async def work(self) -> None:
        all_known = False
        while True:
            self.wake.clear()
            try:
                if not all_known:
                    # What was missed while nobody listened: every server is looked at once.
                    rows = await self.world.db.read(lambda tx: servers.of_backend(tx, self.backend.name))
                    self.unsettled.update(dict.fromkeys(row.id for row in rows))
                    all_known = True
                await self._settle_all()
            except Exception:
                log.exception("news.unexpected", backend=self.backend.name)
            waiting = self.unsettled or self.let_go or not all_known
            try:
                async with asyncio.timeout(LOOK_AGAIN if waiting else None):
                    await self.wake.wait()
            except TimeoutError:
                continue

    async def _settle_all(self) -> None:
        for server_id in list(self.unsettled):
            if await self._settle(server_id):
                self.unsettled.pop(server_id, None)
        for news in list(self.let_go):
            if await self.world.db.write(partial(_complete_detach, news=news)):
                self.let_go.remove(news)

    async def _settle(self, server_id: str) -> bool:
        """Write what the backend shows; False if that has to wait for an operation or for another look."""
        try:
            row, plugged = await self.world.db.read(
                lambda tx: (servers.get(tx, server_id, None), attachments.of_server(tx, server_id))
            )
        except NotFound:
            return True
        if row.operation_id is not None:
            return False
        try:
            seen = await self.backend.look(server_id)
        except Fault as fault:
            log.warning("news.look", backend=self.backend.name, server=server_id, reason=str(fault))
            return False
        self.let_go += _missed(plugged, seen)
        values = correction(row, seen)
        if not values:
            return True
        return await self.world.db.write(lambda tx: servers.change_unless_touched(tx, row, **values))


def correction(row: Row[Any], seen: SeenServer) -> dict[str, Any]:
    """What of the row is not as the backend shows it."""
    power = seen.power
    if row.status not in ("ACTIVE", "SHUTOFF"):
        return {}
    if power in ("running", "paused"):
        wanted: dict[str, Any] = {"status": "ACTIVE", "power": power}
        if power == "paused":
            wanted["reason"] = _STANDS_STILL
        elif row.reason == _STANDS_STILL:
            wanted["reason"] = None
    elif row.status == "SHUTOFF":
        return {}
    else:
        reason = {"crashed": _DIED, "missing": UNKNOWN}.get(power)
        wanted = {"status": "SHUTOFF", "power": power, "reason": reason}
    return wanted if any(getattr(row, name) != value for name, value in wanted.items()) else {}


def _missed(plugged: list[Row[Any]], seen: SeenServer) -> list[News]:
    """The volumes that a running guest let go of while nobody listened."""
    if seen.power not in ("running", "paused"):
        return []
    there = {disk.volume_id for disk in seen.disks}
    return [
        News(seen.server_id, "unplugged", row.volume_id, row.generation)
        for row in plugged
        if row.status == "attached" and row.volume_id not in there
    ]


def _complete_detach(tx: Tx, news: News) -> bool:
    """End the detach that we had given up on; False if that has to wait. News of another attachment is dropped, and
    that of a root: those stay."""
    try:
        server = servers.hold(tx, news.server_id, None)
        row = attachments.get(tx, server.id, news.volume_id or "")
    except NotFound:
        return True
    if row.generation != news.generation or row.is_root:
        return True
    if row.operation_id is not None or server.operation_id is not None:
        return False
    try:
        volume_detach.complete(tx, server, row)
    except Refusal as refusal:
        log.info("news.dropped", server=server.id, volume=row.volume_id, reason=refusal.message)
    return True
