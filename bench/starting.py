"""How long `cyclades up` takes until it accepts requests, and what memory it has then."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench.cloud import Cloud
from bench.figures import Report, p50, spread
from bench.options import Options

_SETTLE = 2.0  # seconds after which a cloud is at rest
_FIRST_STARTS = 3
_LOGINS = 4  # a password's hash takes memory, and once is not enough to see what stays


def measure(options: Options, report: Report, directory: Path) -> None:
    first = []
    for number in range(_FIRST_STARTS):
        with Cloud(directory / f"start-{number}") as cloud:
            first.append(cloud.ready)
    again, memory = [], []
    for number in range(min(options.rounds, 10)):
        with Cloud(directory / "start-0") as cloud:
            again.append(cloud.ready)
            if number < _FIRST_STARTS:
                for _ in range(_LOGINS):
                    asyncio.run(cloud.endpoint())
                time.sleep(_SETTLE)
                memory.append(cloud.memory() / 1e6)
    report.add("ready, first start", spread(first), "3 s")
    report.add("ready, existing DIR", spread(again), "1.5 s")
    report.add("resident memory at rest, after some logins", f"{p50(memory):.0f} MB", "150 MB")
