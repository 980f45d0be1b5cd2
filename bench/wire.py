"""A wire between us and a cluster's RAPI, on which one sees when requests are under way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any

Span = tuple[float, float]  # in seconds since 1970: Ganeti's own clock, on the same machine


class Wire:
    """Leads to `port` of 127.0.0.1. `spans` are the connections that there were: as RAPI has it, one for each request.
    `ended` is set when there is another, `begun` is how many have begun."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = ""
        self.begun = 0
        self.spans: list[Span] = []
        self.ended = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Wire]:
        server = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _lead(self, reader: StreamReader, writer: StreamWriter) -> None:
        begun = time.time()
        self.begun += 1
        try:
            with contextlib.suppress(OSError):
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
                with contextlib.closing(inner_writer):
                    await _both(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            self.spans.append((begun, time.time()))
            self.ended.set()
            writer.close()


async def _both(*ways: Coroutine[Any, Any, None]) -> None:
    """A request is over when one of the two has gone."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def covered(whole: Span, spans: Iterable[Span]) -> float:
    """How many seconds of `whole` at least one of `spans` covers."""
    begin, end = whole
    seconds = 0.0
    for first, last in sorted(spans):
        first, last = max(first, begin), min(last, end)
        if last > first:
            seconds += last - first
            begin = last
    return seconds
