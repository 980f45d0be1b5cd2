"""The one shared state: SQLite when one process serves, PostgreSQL when several do.

All queries are plain functions that take a `Tx` first. `Database.read` and `Database.write` run such a
function in one transaction:

- SQLite: reads run at once, on the event loop's own connection (a hop to a thread costs more than the
  query). Writes run on one writer thread, which commits what has gathered together: one fsync serves many.
- PostgreSQL: both run in a bounded pool of threads; a write that lost a race (deadlock, serialization) is
  run again.

So a function given to `write` may run more than once, and must have no effect outside the transaction.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, CursorResult, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

_BATCH = 64  # writes that one SQLite commit may carry
_RETRIES = 8  # of a PostgreSQL write that lost a race
_BUSY_SECONDS = 30
# PostgreSQL's SQLSTATEs: serialization failure, deadlock, and a unique value that another transaction took after this
# one had looked (the next try sees it, and refuses with its own words).
_LOST_RACE = {"40001", "40P01", "23505"}
_HIDE_PARAMETERS = True  # an error's text, which is logged, has no hashes of passwords and nothing that users wrote
CHANNEL = "cyclades"  # PostgreSQL's NOTIFY channel


class Tx:
    """One transaction. `signal` names who is to be woken once it has committed; what is in `at_end` is called with
    what was gathered for it when all else is done, before the commit."""

    __slots__ = ("at_end", "connection", "signals")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.signals: set[str] = set()
        self.at_end: dict[Callable[[Tx, dict[Any, Any]], None], dict[Any, Any]] = {}

    def execute(self, statement: sa.Executable, params: Any = None) -> CursorResult[Any]:
        return self.connection.execute(statement, params)

    def signal(self, name: str) -> None:
        self.signals.add(name)

    def run(self, change: Callable[[Tx], T]) -> T:
        """All of a transaction but its commit."""
        result = change(self)
        for finish, gathered in self.at_end.items():
            finish(self, gathered)
        return result

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name


class Database:
    """A connected database. `url` is SQLAlchemy's: `sqlite:////path/to/file` or `postgresql+psycopg://…`."""

    def __init__(self, url: str, *, threads: int = 8) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.writes_waiting = 0  # `write`s that have not been committed yet
        self.told_of_write: Callable[[float], None] | None = None  # how many seconds each took, with its wait
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._driver: _Sqlite | _Postgres = _Sqlite(self.url) if self.is_sqlite else _Postgres(self.url, threads)

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Run `query` in a transaction that changes nothing."""
        return await self._driver.read(query)

    async def write(self, change: Callable[[Tx], T]) -> T:
        """Run `change` in a transaction and commit it; when it raises, nothing has happened."""
        begun = time.perf_counter()
        self.writes_waiting += 1
        try:
            result, signals = await self._driver.write(change)
        finally:
            self.writes_waiting -= 1
        if self.told_of_write is not None:
            self.told_of_write(time.perf_counter() - begun)
        for name in signals:
            self.publish(name)
        return result

    def write_now(self, change: Callable[[Tx], T]) -> T:
        """`write` for code without an event loop (commands, tests)."""
        result, signals = self._driver.write_now(change)
        for name in signals:
            self.publish(name)
        return result

    def read_now(self, query: Callable[[Tx], T]) -> T:
        """`read` for code without an event loop (commands, tests)."""
        return self._driver.read_now(query)

    def listen(self, name: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` after each commit in this process that signalled `name`; returns what ends it.
        Commits of other processes arrive through `engine.wake`."""
        self._listeners.setdefault(name, []).append(callback)
        return lambda: self._listeners[name].remove(callback)

    def publish(self, name: str) -> None:
        for callback in list(self._listeners.get(name, ())):
            callback()

    @property
    def engine(self) -> Engine:
        """For migrations and for tools that need SQLAlchemy's own engine."""
        return self._driver.engine

    def close(self) -> None:
        self._driver.close()


# A change, and whoever waits for its outcome.
_Write = tuple[Callable[[Tx], Any], Future[Any]]


class _Sqlite:
    def __init__(self, url: sa.URL) -> None:
        if not url.database or url.database == ":memory:":
            raise ValueError("SQLite needs a file: its writer and its readers use connections of their own")
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine = _sqlite_engine(url, "BEGIN IMMEDIATE")
        self._read_engine = _sqlite_engine(url, "BEGIN", query_only=True)
        self._readers = threading.local()
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer = self.engine.connect()  # here: a file that cannot be opened is the caller's to know
        self._thread = threading.Thread(target=self._serve, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def read(self, query: Callable[[Tx], T]) -> T:
        return self.read_now(query)

    def read_now(self, query: Callable[[Tx], T]) -> T:
        connection: Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = self._read_engine.connect()
        with connection.begin():
            return query(Tx(connection))

    async def write(self, change: Callable[[Tx], T]) -> tuple[T, set[str]]:
        future: Future[tuple[T, set[str]]] = Future()
        self._queue.put((change, future))
        return await asyncio.wrap_future(future)

    def write_now(self, change: Callable[[Tx], T]) -> tuple[T, set[str]]:
        future: Future[tuple[T, set[str]]] = Future()
        self._queue.put((change, future))
        return future.result()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self.engine.dispose()
        self._read_engine.dispose()

    def _serve(self) -> None:
        with self._writer as connection:
            while (first := self._queue.get()) is not None:
                batch, closing = [first], False
                while len(batch) < _BATCH:
                    try:
                        item = self._queue.get_nowait()
                    except queue.Empty:
                        break
                    if item is None:
                        closing = True
                        break
                    batch.append(item)
                self._commit_together(connection, batch)
                if closing:
                    return

    @staticmethod
    def _commit_together(connection: Connection, batch: list[_Write]) -> None:
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with connection.begin():
                for change, future in batch:
                    if not future.set_running_or_notify_cancel():
                        continue
                    tx = Tx(connection)
                    savepoint = connection.begin_nested()
                    try:
                        result = tx.run(change)
                    except BaseException as error:
                        savepoint.rollback()
                        outcomes.append((future, None, error))
                    else:
                        savepoint.commit()
                        outcomes.append((future, (result, tx.signals), None))
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for future, outcome, failure in outcomes:
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(outcome)


class _Postgres:
    def __init__(self, url: sa.URL, threads: int) -> None:
        if url.get_driver_name() != "psycopg":
            url = url.set(drivername="postgresql+psycopg")
        self.engine = sa.create_engine(
            url, pool_size=threads, max_overflow=0, pool_pre_ping=True, hide_parameters=_HIDE_PARAMETERS
        )
        # A read is one statement, or several that need no common moment: no BEGIN and ROLLBACK around it.
        self._read_engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="postgres")

    async def read(self, query: Callable[[Tx], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read_now, query)

    def read_now(self, query: Callable[[Tx], T]) -> T:
        with self._read_engine.connect() as connection:
            return query(Tx(connection))

    async def write(self, change: Callable[[Tx], T]) -> tuple[T, set[str]]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.write_now, change)

    def write_now(self, change: Callable[[Tx], T]) -> tuple[T, set[str]]:
        for last in [False] * _RETRIES + [True]:
            try:
                with self.engine.begin() as connection:
                    tx = Tx(connection)
                    result = tx.run(change)
                    for name in sorted(tx.signals):
                        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, name)))
                    return result, tx.signals
            except DBAPIError as error:
                if last or getattr(error.orig, "sqlstate", None) not in _LOST_RACE:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._threads.shutdown()
        self.engine.dispose()


def _sqlite_engine(url: sa.URL, begin: str, *, query_only: bool = False) -> Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.NullPool,
        json_deserializer=msgspec.json.decode,
        hide_parameters=_HIDE_PARAMETERS,
        connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"busy_timeout = {_BUSY_SECONDS * 1000}",
            "cache_size = -16384",
            f"query_only = {int(query_only)}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
