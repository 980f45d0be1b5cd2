"""Requests in a second, and the CPU that each costs the server."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from bench import fill, load
from bench.cloud import Cloud
from bench.endpoint import Broken, Endpoint, until
from bench.figures import p50, percentile
from bench.load import Run
from bench.options import Options

_WARM_UP = 0.1  # of the time that is counted
_SAMPLE = 5_000  # different volumes that are asked for
_DRAIN_LOOK = 0.1  # seconds between looks whether all volumes are made
_POST = "POST volume"
MADE = "… until available"  # the same requests, until what they ask for is done
_GOALS = {("GET volume", 8): "1,500/s", ("list of 1,000", 8): "60/s"}


@dataclass(frozen=True)
class Line:
    """One kind of request, by so many clients at once, while there were so many volumes. Times are seconds; `cpu` is
    the server's for one request. None is what we cannot see."""

    kind: str
    volumes: int
    clients: int
    rate: float
    p50: float | None
    p95: float | None
    cpu: float | None
    goal: str


@dataclass
class Throughput:
    """All that was counted. `own_share` is the most of one CPU that the clients themselves took."""

    lines: list[Line] = field(default_factory=list)
    own_share: float = 0.0

    def of(self, kind: str, clients: int, volumes: int) -> Line | None:
        wanted = (kind, clients, volumes)
        return next((line for line in self.lines if (line.kind, line.clients, line.volumes) == wanted), None)


async def measure(options: Options, endpoint: Endpoint, cloud: Cloud | None, volumes: int, found: Throughput) -> None:
    """Count all kinds of requests while the project has so many volumes."""
    chosen = random.sample(known := await fill.ids(endpoint, volumes), min(_SAMPLE, len(known)))
    service = endpoint.volume
    kinds = {
        "GET volume": [service.request("GET", f"/volumes/{volume_id}") for volume_id in chosen],
        "list of 10": [service.request("GET", "/volumes/detail?limit=10")],
        "list of 1,000": [service.request("GET", "/volumes/detail?limit=1000")],
        # Last, since afterwards there are more volumes.
        _POST: [service.request("POST", "/volumes", {"volume": {"size": 1, "name": "bench"}})],
    }
    for kind, requests in kinds.items():
        for clients in options.clients:
            await _count(options, endpoint, cloud, kind, requests, clients, volumes, found)


async def _count(
    options: Options,
    endpoint: Endpoint,
    cloud: Cloud | None,
    kind: str,
    requests: Sequence[bytes],
    clients: int,
    volumes: int,
    found: Throughput,
) -> None:
    most = options.most_made if kind == _POST else options.most
    for seconds in (options.seconds * _WARM_UP, options.seconds):
        cpu, begun = cloud.cpu() if cloud else 0.0, time.perf_counter()
        run = await load.run(
            endpoint.volume.origin, requests, clients=clients, seconds=seconds, most=most, keep=kind == _POST
        )
        for answer in run.answers:
            if answer.status == HTTPStatus.ACCEPTED:
                endpoint.made[f"/volumes/{msgspec.json.decode(answer.body)['volume']['id']}"] = None
        _check(kind, run)
        if kind == _POST:
            await _drain(endpoint)
        whole = time.perf_counter() - begun
        each = (cloud.cpu() - cpu) / run.count if cloud else None
    found.own_share = max(found.own_share, run.own_cpu / run.seconds)
    middle, late = p50(run.latencies), percentile(run.latencies, 95)
    goal = _GOALS.get((kind, clients), "")
    found.lines.append(Line(kind, volumes, clients, run.rate, middle, late, each, goal))
    if kind == _POST:
        found.lines.append(Line(MADE, volumes, clients, run.count / whole, None, None, each, ""))


def _check(kind: str, run: Run) -> None:
    wanted = HTTPStatus.ACCEPTED if kind == _POST else HTTPStatus.OK
    if set(run.statuses) - {wanted}:
        raise Broken(f"{kind} was not answered {wanted:d} each time: {dict(run.statuses)}")


async def _drain(endpoint: Endpoint) -> None:
    """Wait until no volume is being made any more."""

    async def look() -> bool:
        return not (await endpoint.volume.ask("GET", "/volumes?status=creating&limit=1"))["volumes"]

    await until("all volumes are made", look, _DRAIN_LOOK)
