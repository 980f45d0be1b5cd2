"""Clients that ask as fast as they are answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
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


async def run(
    origin: Origin, requests: Sequence[bytes], *, clients: int, seconds: float, most: int, keep: bool = False
) -> Run:
    """Send `requests`, over and over, from so many clients at once, for `seconds` or until there are `most` answers.
    Each client has a connection and sends its next request when it has its answer. `keep`: the answers, too."""
    result = Run()
    connections = [Connection(origin) for _ in range(clients)]
    endless = itertools.cycle(requests)
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

    try:
        await asyncio.gather(*(client(connection) for connection in connections))
    finally:
        for connection in connections:
            connection.close()
    result.seconds = time.perf_counter() - begun
    result.own_cpu = time.process_time() - cpu
    return result
