"""HTTP/1.1 on a connection that is kept, with as little work as can be: what is measured is the other side."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httptools
import msgspec

ANSWER_SECONDS = 120.0  # the longest that an answer may take


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Origin:
    """Where a URL's server is."""

    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> Origin:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), tls)

    def request(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> bytes:
        """A whole request, ready to be sent. `body` becomes JSON unless it is bytes already."""
        content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Accept: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method in ("POST", "PUT", "PATCH"):
            kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
            lines += [f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
        return "\r\n".join([*lines, "", ""]).encode() + content


class Connection(asyncio.Protocol):
    """One connection; one request at a time. It is made again when the server has closed it between two."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._reset()

    async def exchange(self, request: bytes) -> Answer:
        """Send a request, and wait for its answer. Raises `OSError` or `TimeoutError`."""
        if self._transport is None or self._transport.is_closing():
            await self._connect()
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def _connect(self) -> None:
        origin = self._origin
        tls = ssl.create_default_context() if origin.tls else None
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, origin.host, origin.port, ssl=tls)

    # --- what the event loop calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._reset()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("The server closed the connection."))

    # --- what the parser calls --------------------------------------------------------------------

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        parser, headers, body = self._parser, self._headers, b"".join(self._body)
        if not parser.should_keep_alive():
            self.close()
        self._reset()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(parser.get_status_code(), headers, body))
