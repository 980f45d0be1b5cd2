"""How an engine hears of work that another process committed.

PostgreSQL: LISTEN and NOTIFY. SQLite: a datagram socket in the data directory, for the commands that an
operator runs beside `cyclades up`. Hearing is only a matter of speed: an engine looks at the table now and
then in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog

from cyclades.store.database import CHANNEL, Database

log = structlog.get_logger("cyclades.wake")

_AGAIN = 1.0  # seconds until a lost connection is made again
_LONGEST = 64  # bytes of a signal's name
_NAME = "engine.sock"  # of the socket in the data directory


@contextlib.contextmanager
def _address(data: Path) -> Iterator[str]:
    """How to reach the socket in `data`. Paths of sockets are short (108 bytes), directories need not be."""
    directory = os.open(data, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{_NAME}"
    finally:
        os.close(directory)


def tell(data: Path, signal: str) -> bool:
    """Pass a signal to the `cyclades up` that runs on this data directory; False if none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            with _address(data) as address:
                sender.sendto(signal.encode(), address)
        except OSError:
            return False
    return True


async def hear_socket(db: Database, data: Path) -> None:
    """Pass on what `tell` sends, until cancelled."""
    path = data / _NAME
    path.unlink(missing_ok=True)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.setblocking(False)
        with _address(data) as address:
            receiver.bind(address)
        path.chmod(0o600)
        try:
            while True:
                db.publish((await loop.sock_recv(receiver, _LONGEST)).decode(errors="replace"))
        finally:
            path.unlink(missing_ok=True)


async def hear_postgres(db: Database) -> None:
    """Pass on what other processes' commits signal, until cancelled."""
    import psycopg  # not before it is needed: commands on SQLite are quicker

    url = db.url.set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                db.publish("operations")  # what was committed while nobody listened
                async for notification in connection.notifies():
                    db.publish(notification.payload)
        except (OSError, psycopg.Error) as error:
            log.warning("wake.connection-lost", reason=str(error))
        await asyncio.sleep(_AGAIN)


@contextlib.asynccontextmanager
async def hearing(db: Database, data: Path) -> AsyncIterator[None]:
    """Inside, signals from other processes reach `db.listen`'s callbacks."""
    task = asyncio.create_task(hear_socket(db, data) if db.is_sqlite else hear_postgres(db))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
