"""The clients, against a server that answers what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.http import Connection, Origin
from bench.load import Clients

LIMIT = 60.0  # seconds, for a busy machine


@asynccontextmanager
async def server(*answers: bytes) -> AsyncIterator[tuple[Origin, list[str]]]:
    """Gives these answers in turn on each connection, then closes it. Also the first lines of what it was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            asked.append(head.decode().split("\r\n")[0])
            writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield Origin("127.0.0.1", listening.sockets[0].getsockname()[1], tls=False), asked


async def test_answers_of_both_kinds_and_a_connection_that_was_closed() -> None:
    counted = b"HTTP/1.1 200 OK\r\nX-Subject-Token: t\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    last = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with server(counted, chunked, last) as (origin, asked), asyncio.timeout(LIMIT):
        connection = Connection(origin)
        answers = [await connection.exchange(origin.request("GET", f"/{i}", {})) for i in range(4)]
        connection.close()
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b"hello"), (202, b"hello"), (404, b""), (200, b"hello"),
    ]  # fmt: skip
    assert answers[0].headers["x-subject-token"] == "t"
    assert asked == [f"GET /{i} HTTP/1.1" for i in range(4)]


async def test_a_run_is_bounded_by_its_answers() -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with server(*[ok] * 100) as (origin, asked), asyncio.timeout(LIMIT):
        requests = [origin.request("GET", "/a", {}), origin.request("GET", "/b", {})]
        clients = Clients(origin, 3)
        assert [answer.body for answer in await clients.once(requests)] == [b"{}"] * 3
        assert len(asked) == 3
        asked.clear()
        run = await clients.run(requests, seconds=LIMIT, most=30, keep=True)
        clients.close()
    assert 30 <= run.count <= 32  # those on their way are still answered
    assert run.statuses == {200: run.count}
    assert len(run.answers) == run.count == len(asked)
    assert abs(asked.count("GET /a HTTP/1.1") - asked.count("GET /b HTTP/1.1")) <= 1
    assert run.rate == run.count / run.seconds
