"""Requests in a second, and the CPU that each costs the server."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from bench import fill
from bench.cloud import Cloud
from bench.endpoint import Broken, Endpoint, until
from bench.figures import p50, percentile
from bench.http import Answer
from bench.load import Clients
from bench.options import Options

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
    number: int,
    volumes: int,
    found: Throughput,
) -> None:
    """Count one kind of request by `number` clients."""
    makes = kind == _POST
    clients = Clients(endpoint.volume.origin, number)
    try:
        warm = await clients.once(requests)
        _keep(endpoint, warm)
        _check(kind, [answer.status for answer in warm])
        if makes:
            await _drain(endpoint)
        cpu, begun = cloud.cpu() if cloud else 0.0, time.perf_counter()
        most = options.most_made if makes else options.most
        run = await clients.run(requests, seconds=options.seconds, most=most, keep=makes)
        _keep(endpoint, run.answers)
        _check(kind, run.statuses)
        if makes:
            await _drain(endpoint)
    finally:
        clients.close()
    whole = time.perf_counter() - begun
    each = (cloud.cpu() - cpu) / run.count if cloud else None
    found.own_share = max(found.own_share, run.own_cpu / run.seconds)
    middle, late = p50(run.latencies), percentile(run.latencies, 95)
    found.lines.append(Line(kind, volumes, number, run.rate, middle, late, each, _GOALS.get((kind, number), "")))
    if makes:
        found.lines.append(Line(MADE, volumes, number, run.count / whole, None, None, each, ""))


def _right(kind: str) -> int:
    """The status of a right answer."""
    return HTTPStatus.ACCEPTED if kind == _POST else HTTPStatus.OK


def _keep(endpoint: Endpoint, answers: Iterable[Answer]) -> None:
    """Remember what was made, so that it is deleted whatever else the answers say."""
    for answer in answers:
        if answer.status == HTTPStatus.ACCEPTED:
            endpoint.made[f"/volumes/{msgspec.json.decode(answer.body)['volume']['id']}"] = None


def _check(kind: str, statuses: Collection[int]) -> None:
    if wrong := set(statuses) - {_right(kind)}:
        raise Broken(f"{kind} was answered {', '.join(map(str, sorted(wrong)))}")


async def _drain(endpoint: Endpoint) -> None:
    """Wait until no volume is being made any more."""

    async def look() -> bool:
        return not (await endpoint.volume.ask("GET", "/volumes?status=creating&limit=1"))["volumes"]

    await until("all volumes are made", look, _DRAIN_LOOK)
