from __future__ import annotations

import asyncio

import pytest
from bench.wire import Span, Wire, covered


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(0.0, 20.0)], 10.0),
        ([(1.0, 2.0), (1.5, 3.0), (8.0, 12.0), (-5.0, 0.5)], 4.5),  # the ends that stand out do not count
        ([(1.0, 5.0), (2.0, 3.0), (4.0, 6.0)], 5.0),  # what overlaps counts once
    ],
)
def test_how_much_of_a_time_others_cover(spans: list[Span], seconds: float) -> None:
    assert covered((0.0, 10.0), spans) == seconds


async def test_a_wire_leads_on_and_tells_of_each_connection() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Wire(server.sockets[0].getsockname()[1]).open() as wire:
        for number in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(wire.url.rpartition(":")[2]))
            writer.write(b"said\n")
            assert await reader.read() == b"said\n"
            writer.close()
            async with asyncio.timeout(60):
                await wire.ended.wait()
            wire.ended.clear()
            assert len(wire.spans) == wire.begun == number + 1
            assert all(begin <= end for begin, end in wire.spans)
