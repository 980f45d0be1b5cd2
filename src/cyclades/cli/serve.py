"""The processes of a cloud: all in one (`up`), or the APIs and the engine apart."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvloop

from cyclades.api import compute, events, identity, image, network, volume
from cyclades.api.app import application
from cyclades.api.http.service import Shared
from cyclades.backends.base import Backend
from cyclades.cli import database, first_start, listening, logs
from cyclades.cli.directory import alone_in
from cyclades.cli.refused import Refused
from cyclades.config import Settings
from cyclades.engine import news, presence, wake
from cyclades.engine import world as assembly
from cyclades.engine.backends import follow_clusters
from cyclades.engine.engine import Engine
from cyclades.engine.housekeeping import keep_house
from cyclades.monitoring.cloud import CloudCollector
from cyclades.monitoring.metrics import Metrics
from cyclades.monitoring.pages import Pages
from cyclades.monitoring.readiness import Readiness
from cyclades.operations import image_upload
from cyclades.operations.base import World
from cyclades.reconcile import schedule
from cyclades.security.keys import Keys
from cyclades.security.logins import Logins
from cyclades.security.revocations import Revocations
from cyclades.security.tokens import Tokens
from cyclades.store.database import Database

SERVICES = (
    *identity.SERVICES,
    *image.SERVICES,
    *volume.SERVICES,
    *compute.SERVICES,
    *network.SERVICES,
    *events.SERVICES,
)
TIDY_SECONDS = 600.0

log = structlog.get_logger("cyclades")


def up(settings: Settings) -> None:
    """Run everything in this process until it is told to stop."""
    logs.configure(settings.log_level)
    listening.check(settings.api)
    with alone_in(settings.data), listening.bound(settings.api.host, settings.api.port) as where:
        assembly.make_directories(settings)
        with database.opened(settings, make=True) as db:
            _, copy = database.upgrade(db)
            if copy is not None:
                log.info("database.copied", to=str(copy))
            first_start.prepare(db, settings)
            _run(_until_told(settings, db, where=where, with_engine=True))


def api(settings: Settings) -> None:
    """Run the APIs alone."""
    logs.configure(settings.log_level)
    listening.check(settings.api)
    _check_apart(settings)
    with listening.bound(settings.api.host, settings.api.port) as where, database.opened(settings) as db:
        database.require_current(db)
        assembly.make_directories(settings)
        first_start.prepare(db, settings)
        _run(_until_told(settings, db, where=where))


def engine(settings: Settings) -> None:
    """Run an engine alone."""
    logs.configure(settings.log_level)
    _check_apart(settings)
    with database.opened(settings) as db:
        database.require_current(db)
        _run(_until_told(settings, db, with_engine=True))


def _check_apart(settings: Settings) -> None:
    if database.is_sqlite(settings):
        raise Refused("Separate processes need PostgreSQL: set [database] url. On SQLite, use `cyclades up`.")


def _run(main: Coroutine[Any, Any, bool]) -> None:
    gc.freeze()  # what was imported stays: looking through it for garbage would hold up every request again and again
    if not uvloop.run(main):
        raise SystemExit(1)


class _Stopping:
    """Whether the process is to stop; `in_order` unless a part of it ended by itself."""

    def __init__(self) -> None:
        self.in_order = True
        self._event = asyncio.Event()
        self.wait = self._event.wait

    def told(self, *, in_order: bool = True) -> None:
        self.in_order = self.in_order and in_order
        self._event.set()


async def _until_told(
    settings: Settings, db: Database, *, where: socket.socket | None = None, with_engine: bool = False
) -> bool:
    """`where` the APIs listen, if they are in this process. False if a part of it ended by itself."""
    stopping = _Stopping()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.told)
    watched = settings.monitoring
    async with contextlib.AsyncExitStack() as running:
        own, metrics = None, None
        if watched.port:
            watched_at = running.enter_context(listening.bound(watched.host, watched.port))
            metrics = Metrics(db, CloudCollector(db, settings))
        await running.enter_async_context(wake.hearing(db, settings.data))
        if with_engine:
            loop.add_signal_handler(signal.SIGUSR1, db.publish, schedule.SIGNAL)
            own = await running.enter_async_context(_engine(settings, db, metrics, stopping))
        if metrics is not None:
            pages = Pages(metrics, Readiness(db, Keys(settings.key_dir), own.lives if own else None))
            running.callback(pages.close)
            await running.enter_async_context(listening.serving(pages, watched_at))
        if where is not None:
            await running.enter_async_context(_api(settings, db, where, own, metrics, stopping))
            print(f"Cyclades is ready at {settings.public_url} (credentials in {settings.data})", flush=True)
        else:
            print("The engine is ready.", flush=True)
        await stopping.wait()
    return stopping.in_order


@asynccontextmanager
async def _engine(
    settings: Settings, db: Database, metrics: Metrics | None, stopping: _Stopping
) -> AsyncIterator[Engine]:
    world, backends = assembly.build(settings, db)
    for backend in world.backends.values():
        await backend.open()
    engine = Engine(world, alone=db.is_sqlite, metrics=metrics)
    work: list[Coroutine[Any, Any, Any]] = [
        engine.run(),
        keep_house(db, settings),
        _tidy(world),
        schedule.keep_looking(world, engine.owner),
        presence.be_seen(db, "engine", engine.owner),
    ]
    work += [presence.report(db, pool) for pool in world.own_pools.values()]

    def beside(backend: Backend, has_pools: bool) -> list[Coroutine[Any, Any, None]]:
        return [presence.report_backend(db, backend, has_pools=has_pools), news.follow(world, backend)]

    for backend in world.backends.values():
        work += beside(backend, True)
    work.append(follow_clusters(db, Keys(settings.key_dir), backends, beside))
    try:
        async with _together(work, stopping):
            yield engine
    finally:
        for backend in world.backends.values():
            await backend.close()


@asynccontextmanager
async def _api(
    settings: Settings,
    db: Database,
    where: socket.socket,
    own: Engine | None,
    metrics: Metrics | None,
    stopping: _Stopping,
) -> AsyncIterator[None]:
    """`own` is the engine of this process, if it has one."""
    revocations = Revocations(db)
    await revocations.refresh()
    await image_upload.recover(db, settings, alone=db.is_sqlite)
    keys = Keys(settings.key_dir)
    tokens = Tokens(keys, revocations, seconds=settings.identity.token_seconds)
    logins = Logins(settings.identity)
    shared = Shared(db, settings, keys, tokens, logins, own.lives if own else None, metrics)
    app = application(SERVICES, shared)
    try:
        work = [
            revocations.follow(),
            image_upload.keep_recovering(db, settings),
            presence.be_seen(db, "api", presence.own_id()),
        ]
        async with _together(work, stopping), listening.serving(app, where, settings.api):
            yield
    finally:
        logins.close()


@asynccontextmanager
async def _together(work: list[Coroutine[Any, Any, Any]], stopping: _Stopping) -> AsyncIterator[None]:
    """Run these beside what is inside. If one of them ends by itself, the process stops: half a cloud helps nobody."""

    def ended(task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            log.error("task.ended", task=task.get_name(), exc_info=task.exception())
            stopping.told(in_order=False)

    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tidy(world: World) -> None:
    """Now and then finish what crashes left half done in the pools."""
    while True:
        for pool in world.own_pools.values():
            try:
                for line in await pool.tidy():
                    log.info("pool.tidied", pool=pool.name, what=line)
            except Exception:
                log.exception("pool.tidy", pool=pool.name)
        await asyncio.sleep(TIDY_SECONDS)
