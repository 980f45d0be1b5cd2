"""The processes of a cloud: all in one (`up`), or the APIs and the engine apart."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop

from cyclades.api import compute, identity, image, volume
from cyclades.api.app import application
from cyclades.api.http.service import Shared
from cyclades.cli import first_start, logs
from cyclades.config import Settings
from cyclades.engine import news, wake
from cyclades.engine import world as assembly
from cyclades.engine.engine import Engine
from cyclades.operations import image_upload
from cyclades.operations.base import World
from cyclades.security.keys import Keys
from cyclades.security.logins import Logins
from cyclades.security.revocations import Revocations
from cyclades.security.tokens import Tokens
from cyclades.store import migrate
from cyclades.store.database import Database

SERVICES = (*identity.SERVICES, *image.SERVICES, *volume.SERVICES, *compute.SERVICES)
TIDY_SECONDS = 600.0

log = structlog.get_logger("cyclades")


class Refused(Exception):
    """It cannot start; the message says why, and what to do."""


def up(settings: Settings) -> None:
    """Run everything in this process until it is told to stop."""
    _check_listening(settings)
    logs.configure(settings.log_level)
    with _only_one(settings.data), _database(settings) as db:
        _migrate(db)
        first_start.prepare(db, settings)
        uvloop.run(_until_told(settings, db, with_api=True, with_engine=True))


def api(settings: Settings) -> None:
    """Run the APIs alone."""
    _check_listening(settings)
    _apart(settings, with_api=True)


def engine(settings: Settings) -> None:
    """Run an engine alone."""
    _apart(settings, with_engine=True)


def _apart(settings: Settings, *, with_api: bool = False, with_engine: bool = False) -> None:
    logs.configure(settings.log_level)
    with _database(settings) as db:
        if db.is_sqlite:
            raise Refused("Separate processes need PostgreSQL: set [database] url. On SQLite, use `cyclades up`.")
        if migrate.revision_of(db.engine) != migrate.newest():
            raise Refused("The database is not at this version's tables: run `cyclades db upgrade`.")
        assembly.make_directories(settings)
        first_start.prepare(db, settings)
        uvloop.run(_until_told(settings, db, with_api=with_api, with_engine=with_engine))


# --- before anything runs -------------------------------------------------------------------------


def _check_listening(settings: Settings) -> None:
    wanted = settings.api
    if (wanted.tls_cert is None) != (wanted.tls_key is None):
        raise Refused("TLS needs both a certificate and its key.")
    if not (_is_loopback(wanted.host) or wanted.tls_cert or wanted.insecure):
        raise Refused(
            f"{wanted.host} can be reached by other machines, and passwords would travel in clear: give --tls-cert and "
            "--tls-key, or --insecure if something in front does TLS."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Inside, no other `cyclades up` runs on this directory. The lock is gone with the process, however it ends."""
    data.mkdir(parents=True, exist_ok=True, mode=0o711)
    with (data / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"Another `cyclades up` runs on {data}.") from None
        yield


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    if settings.database.url == "":
        assembly.make_directories(settings)
    db = Database(settings.database_url, threads=settings.database.threads)
    try:
        if db.is_sqlite and db.url.database:
            os.chmod(_touched(Path(db.url.database)), 0o600)
        yield db
    finally:
        db.close()


def _touched(path: Path) -> Path:
    path.touch(mode=0o600)
    return path


def _migrate(db: Database) -> None:
    before = migrate.revision_of(db.engine)
    if before == migrate.newest():
        return
    if before is not None and db.is_sqlite and db.url.database:
        copy = migrate.keep_copy(Path(db.url.database))
        log.info("database.copied", to=str(copy))
    migrate.upgrade(db.engine)


# --- while it runs --------------------------------------------------------------------------------


async def _until_told(settings: Settings, db: Database, *, with_api: bool, with_engine: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as running:
        await running.enter_async_context(wake.hearing(db, settings.data))
        if with_engine:
            await running.enter_async_context(_engine(settings, db, stopping))
        if with_api:
            await running.enter_async_context(_api(settings, db, stopping))
            print(f"Cyclades is ready at {settings.public_url} (credentials in {settings.data})", flush=True)
        else:
            print("The engine is ready.", flush=True)
        await stopping.wait()


@asynccontextmanager
async def _engine(settings: Settings, db: Database, stopping: asyncio.Event) -> AsyncIterator[World]:
    world = assembly.build(settings, db)
    for backend in world.backends.values():
        await backend.open()
    work: list[Coroutine[Any, Any, Any]] = [Engine(world, alone=db.is_sqlite).run(), _tidy(world)]
    work += [news.follow(world, backend) for backend in world.backends.values()]
    try:
        async with _together(work, stopping):
            yield world
    finally:
        for backend in world.backends.values():
            await backend.close()


@asynccontextmanager
async def _api(settings: Settings, db: Database, stopping: asyncio.Event) -> AsyncIterator[None]:
    revocations = Revocations(db)
    await revocations.refresh()
    await image_upload.recover(db, settings, alone=db.is_sqlite)
    tokens = Tokens(Keys(settings.key_dir), revocations, seconds=settings.identity.token_seconds)
    logins = Logins(settings.identity)
    server = _Server(application(SERVICES, Shared(db, settings, tokens, logins)), settings)
    try:
        work = [revocations.follow(), image_upload.keep_recovering(db, settings)]
        async with _together(work, stopping), server.serving(stopping):
            yield
    finally:
        logins.close()


@asynccontextmanager
async def _together(work: list[Coroutine[Any, Any, Any]], stopping: asyncio.Event) -> AsyncIterator[None]:
    """Run these beside what is inside. If one of them ends by itself, the process stops: half a cloud helps nobody."""

    def ended(task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            log.error("task.ended", task=task.get_name(), exc_info=task.exception())
            stopping.set()

    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Server:
    """The web server. Signals are ours to handle, since more than it has to stop in order."""

    def __init__(self, app: Any, settings: Settings) -> None:
        api = settings.api
        self._config = uvicorn.Config(
            app,
            host=api.host,
            port=api.port,
            ssl_certfile=str(api.tls_cert) if api.tls_cert else None,
            ssl_keyfile=str(api.tls_key) if api.tls_key else None,
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
        self._where = f"{api.host}:{api.port}"

    @asynccontextmanager
    async def serving(self, stopping: asyncio.Event) -> AsyncIterator[None]:
        config = self._config
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        try:
            await server.startup()
        except SystemExit:
            raise Refused(f"Cannot listen on {self._where}: is the port taken?") from None
        main = asyncio.create_task(server.main_loop())
        try:
            yield
        finally:
            server.should_exit = True
            await main
            await server.shutdown()


async def _tidy(world: World) -> None:
    """Now and then finish what crashes left half done in the pools."""
    while True:
        for pool in world.pools.values():
            try:
                for line in await pool.tidy():
                    log.info("pool.tidied", pool=pool.name, what=line)
            except Exception:
                log.exception("pool.tidy", pool=pool.name)
        await asyncio.sleep(TIDY_SECONDS)
