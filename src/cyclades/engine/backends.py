"""The backends that an engine has open: this machine's of the configuration, and the clusters that operators added.

Clusters come, change and go while an engine runs. What is asked of one that is offline, or that this engine has not
opened yet, waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any

import msgspec
import structlog
from sqlalchemy import Row

from cyclades.backends.base import Backend
from cyclades.backends.ganeti.backend import GanetiBackend
from cyclades.backends.ganeti.options import Access, GanetiOptions
from cyclades.model.errors import Away
from cyclades.security.keys import Keys
from cyclades.store import clusters
from cyclades.store.database import Database

LOOK_SECONDS = 10.0  # after which the clusters' rows are read again, although nobody told of a change

# What goes on beside a backend as long as it is open; it is told whether servers there may have disks of pools.
Beside = Callable[[Backend, bool], list[Coroutine[Any, Any, None]]]

log = structlog.get_logger("cyclades.backends")


class Backends(Mapping[str, Backend]):
    """Those that are open, by name. Asking for one that is known and not open raises `Away`."""

    def __init__(self, here: Mapping[str, Backend]) -> None:
        self._open = dict(here)
        self._known: set[str] = set(here)

    def __getitem__(self, name: str) -> Backend:
        if name in self._known and name not in self._open:
            raise Away(f"Waits for backend {name}, which is offline or cannot be opened just now.")
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def know(self, names: set[str]) -> None:
        """These clusters exist."""
        self._known = names | set(self._open)

    @contextlib.asynccontextmanager
    async def having(self, backend: Backend) -> AsyncIterator[None]:
        """Inside, the backend is open."""
        await backend.open()
        self._open[backend.name] = backend
        try:
            yield
        finally:
            del self._open[backend.name]
            await backend.close()


def cluster_backend(db: Database, keys: Keys, row: Row[Any]) -> GanetiBackend:
    """Raises `security.keys.Unsealable` if no key here opens its password."""
    password = keys.open(row.password, clusters.sealed_as(row.name)).decode()
    access = Access(url=row.url, user=row.user, password=password, certificate=row.certificate)
    return GanetiBackend(row.name, access, msgspec.convert(row.options, GanetiOptions), db)


async def follow_clusters(db: Database, keys: Keys, backends: Backends, beside: Beside) -> None:
    """Keep the clusters open that are in the database, with what goes on beside each, until cancelled."""
    follower = _Follower(db, keys, backends, beside)
    stop_listening = db.listen(clusters.CHANGED, follower.changed.set)
    try:
        await follower.work()
    finally:
        stop_listening()
        await follower.end(list(follower.tasks))


class _Follower:
    def __init__(self, db: Database, keys: Keys, backends: Backends, beside: Beside) -> None:
        self.db, self.keys, self.backends, self.beside = db, keys, backends, beside
        self.changed = asyncio.Event()
        self.tasks: dict[str, tuple[Row[Any], asyncio.Task[None]]] = {}

    async def work(self) -> None:
        while True:
            self.changed.clear()
            try:
                await self._look()
            except Exception:
                log.exception("backends.look")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.changed.wait()

    async def _look(self) -> None:
        rows = await self.db.read(clusters.every)
        wanted = {row.name: row for row in rows if not row.offline}
        self.backends.know({row.name for row in rows})
        await self.end([name for name, (row, task) in self.tasks.items() if wanted.get(name) != row or task.done()])
        for name, row in wanted.items():
            if name not in self.tasks:
                self.tasks[name] = row, asyncio.create_task(self._have(row), name=f"backend:{name}")

    async def _have(self, row: Row[Any]) -> None:
        """One cluster's backend, open, and what goes on beside it. It is opened again if that ends."""
        try:
            backend = cluster_backend(self.db, self.keys, row)
            async with self.backends.having(backend), asyncio.TaskGroup() as group:
                for coroutine in self.beside(backend, bool(row.pools)):
                    group.create_task(coroutine)
        except Exception:
            log.exception("backends.cluster", backend=row.name)

    async def end(self, names: list[str]) -> None:
        ended = [self.tasks.pop(name)[1] for name in names]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)
