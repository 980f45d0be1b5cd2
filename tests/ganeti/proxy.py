"""A way to RAPI on which requests and answers get lost."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from tests.backends.ganeti.wire import certify
from tests.ganeti.cell import Cell

from cyclades.backends.ganeti import Access

Lost = Literal["request", "answer"]


class Proxy:
    """Passes requests on to the RAPI of `cell`. `loses`: what gets lost of each request that would begin a job; the
    number of those that came is `jobs`."""

    def __init__(self, cell: Cell, directory: Path) -> None:
        self._cell = cell
        self._certificate, self._tls = certify(directory)
        self._url = ""
        self.loses: Lost | None = None
        self.jobs = 0

    @property
    def access(self) -> Access:
        cell = self._cell
        return Access(url=self._url, user=cell.user, password=cell.password, certificate=self._certificate)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0, ssl=self._tls)
        self._url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield self
        server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        begins_job = not head.startswith((b"GET ", b"PUT /2/query/"))
        self.jobs += begins_job
        body = await reader.readexactly(_length(head))
        if begins_job and self.loses == "request":
            writer.transport.abort()
            return
        answer = await _answer(urlsplit(self._cell.url).port, self._cell.tls, head + body)
        if begins_job and self.loses == "answer":
            writer.transport.abort()
            return
        writer.write(answer)
        await writer.drain()
        writer.close()


def _length(head: bytes) -> int:
    lines = head.decode().lower().split("\r\n")
    return next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)


async def _answer(port: int | None, tls: ssl.SSLContext, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(request)
    answer = await reader.read()  # RAPI closes the connection
    writer.close()
    return answer
