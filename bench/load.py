"""Clients that ask as fast as they are answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.http import Answer, Connection, Origin


@dataclass
class Run:
    """What came of it. `seconds` is how long it took in all, `latencies` (seconds) has one for each answer, `own_cpu`
    is what the clients themselves used."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    answers: list[Answer] = field(default_factory=list)
    own_cpu: float = 0.0

    @property
    def count(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return self.count / self.seconds


class Clients:
    """So many clients of one server, each with a connection of its own."""

    def __init__(self, origin: Origin, number: int) -> None:
        self._connections = [Connection(origin) for _ in range(number)]

    async def once(self, requests: Iterable[bytes]) -> list[Answer]:
        """To warm up, each sends one request, one client after the other: a server that is busy with the requests of
        some takes the connections of others slowly."""
        return [await c.exchange(request) for c, request in zip(self._connections, itertools.cycle(requests))]

    async def run(self, requests: Iterable[bytes], *, seconds: float, most: int, keep: bool = False) -> Run:
        """Send `requests`, over and over, all clients at once, for `seconds` or until there are `most` answers. Each
        sends its next request when it has its answer. `keep`: the answers, too."""
        result, endless = Run(), itertools.cycle(requests)
        cpu, begun = time.process_time(), time.perf_counter()
        until = begun + seconds

        async def client(connection: Connection) -> None:
            sent = time.perf_counter()
            while sent < until and result.count < most:
                answer = await connection.exchange(next(endless))
                answered = time.perf_counter()
                result.latencies.append(answered - sent)
                result.statuses[answer.status] += 1
                if keep:
                    result.answers.append(answer)
                sent = answered

        await asyncio.gather(*(client(connection) for connection in self._connections))
        result.seconds = time.perf_counter() - begun
        result.own_cpu = time.process_time() - cpu
        return result

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
