"""Speaking QMP to one QEMU (QEMU's "QMP Reference Manual").

A monitor socket serves one client at a time, so whoever gives commands connects, speaks and leaves, while
holding the server's lock. Nothing here waits without a limit: a QEMU that hangs makes `Passing`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from qemu.qmp import ConnectError, EventListener, ExecuteError, Message, QMPClient, QMPError
from qemu.qmp.qmp_client import NegotiationError

from cyclades.model.errors import Passing

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 20.0

# The library logs each lost connection with a trace; what matters of it is told by our own errors.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class _Client(QMPClient):
    """The library writes each message as indented text for its log, whether it logs or not: most of what it does."""

    def _cb_outbound(self, msg: Message) -> Message:
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        return msg


class Refused(Exception):
    """QEMU answered a command with an error; `str()` is its description."""


class Events:
    """What a connection hears."""

    def __init__(self, monitor: Monitor, listener: EventListener) -> None:
        self._monitor, self._listener = monitor, listener

    async def get(self) -> Mapping[str, Any]:
        """The next event, when it comes; `Passing` if the connection ends before."""
        event, gone = asyncio.ensure_future(self._listener.get()), asyncio.ensure_future(self._monitor.gone())
        try:
            await asyncio.wait([event, gone], return_when=asyncio.FIRST_COMPLETED)
            if not event.done():
                raise Passing("The connection to the server's QEMU was lost.")
            return event.result()
        finally:
            event.cancel()
            gone.cancel()


class Monitor:
    """A connection. `Refused` if QEMU says no, `Passing` if it does not answer."""

    def __init__(self, client: QMPClient) -> None:
        self._client = client

    async def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                return await self._client.execute(name, arguments)
        except ExecuteError as error:
            raise Refused(str(error)) from error
        except TimeoutError as error:
            raise Passing(f"The server's QEMU does not answer ({name}).") from error
        except (QMPError, EOFError, OSError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) and task.cancelling():
                raise
            raise Passing(f"The connection to the server's QEMU was lost ({name}).") from error

    @contextlib.contextmanager
    def listening(self, *names: str) -> Iterator[Events]:
        """Inside, these events are kept, from now on; yields what to read them from."""
        listener = EventListener(names=names)
        self._client.register_listener(listener)
        try:
            yield Events(self, listener)
        finally:
            self._client.remove_listener(listener)

    async def gone(self) -> None:
        """Return when the connection has ended."""
        while self._client.runstate.name == "RUNNING":
            await self._client.runstate_changed()


@asynccontextmanager
async def connected(socket: Path) -> AsyncIterator[Monitor]:
    """A connection to the monitor at `socket`; `Passing` if it cannot be had within `CONNECT_SECONDS`."""
    client = _Client()
    # Paths of sockets are short (108 bytes), directories need not be.
    directory = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await _connect(client, f"/proc/self/fd/{directory}/{socket.name}")
    except (QMPError, OSError, EOFError, TimeoutError) as error:
        await _leave(client)
        raise Passing("The server's QEMU cannot be reached.") from error
    finally:
        os.close(directory)
    try:
        yield Monitor(client)
    finally:
        await _leave(client)


async def _connect(client: QMPClient, path: str) -> None:
    while True:
        try:
            return await client.connect(path)
        except ConnectError as error:
            # An event that comes before the answer to its greeting upsets the library; it seldom does twice.
            if not isinstance(error.exc, NegotiationError):
                raise


async def _leave(client: QMPClient) -> None:
    # A QEMU that died meanwhile makes this raise; there is nothing left to leave then.
    with contextlib.suppress(QMPError, EOFError, OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.disconnect()
