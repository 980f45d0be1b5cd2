"""Volumes attached to servers in a cluster: one by one, and forty at once beside the same jobs sent by hand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from tests.ganeti import place

from bench import fill
from bench.endpoint import PATIENCE, Endpoint, Service, until
from bench.figures import Report, ms, p50, spread
from bench.http import Connection
from bench.options import Options
from bench.wire import Span, covered
from cyclades.backends.base import Plug
from cyclades.backends.ganeti import disks, version
from cyclades.backends.ganeti.rapi import Rapi
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store import volumes
from cyclades.store.database import Database
from cyclades.store.schema import operation

if TYPE_CHECKING:
    from bench.ganeti import Ground

_AT_ONCE = 40
_ROUNDS_AT_ONCE = 3  # at most: each is eighty jobs
_LOOK = 0.05  # seconds between two looks at forty volumes or jobs
_ENDED = ("success", "error", "canceled")


class Pair(NamedTuple):
    server_id: str
    volume_id: str


async def one_by_one(options: Options, report: Report, ground: Ground) -> None:
    """A volume attached again and again to a server of a cluster that does nothing else. Each time from the request
    until the operation's end, as its row has it: who looks all the time would take CPU from what is measured."""
    (volume_id,) = await fill.through_the_api(ground.endpoint, 1)
    pair, begun, used = Pair(ground.servers[0], volume_id), [], 0.0
    for _ in range(options.rounds + 1):
        before = ground.cloud.cpu()
        begun.append(time.time())
        await _attach(ground.compute, pair)
        await _until_all(ground.endpoint, [pair], "in-use")
        used += ground.cloud.cpu() - before
        await _detach(ground.compute, [pair])
        await _until_all(ground.endpoint, [pair], "available")
    await ground.endpoint.clean()
    async with _rapi(ground) as rapi:
        jobs = await _spans_of_jobs(rapi)
    rounds = list(zip(begun, await _ends(ground, volume_id), strict=True))[1:]  # the first one warms up
    others = [*jobs, *ground.wire.spans]
    whole = [end - begin for begin, end in rounds]
    own = [end - begin - covered((begin, end), others) for begin, end in rounds]
    calls = [sum(begin <= first <= end for first, _ in ground.wire.spans) for begin, end in rounds]
    report.add("POST attachment → in-use, in a cluster", spread(whole))
    report.add("the same without RAPI's calls and Ganeti's job", spread(own), "p50 50 ms")
    report.add("CPU of the cloud for it, with the clients' part of RAPI's calls", ms(used / (options.rounds + 1)))
    report.add("RAPI's calls for it", f"{p50(calls):.0f}")


async def at_once(options: Options, report: Report, ground: Ground) -> None:
    """By turns, so that what else the machine does harms both alike."""
    ids = await fill.through_the_api(ground.endpoint, _AT_ONCE)
    every = len(ground.servers)
    pairs = [Pair(ground.servers[index % every], volume_id) for index, volume_id in enumerate(ids)]
    ours, by_hand = [], []
    for _ in range(min(options.rounds, _ROUNDS_AT_ONCE)):
        by_hand.append(await _by_hand(ground, pairs))
        ours.append(await _asked(ground.endpoint, ground.compute, pairs))
    await ground.endpoint.clean()
    times = [mine / bare for mine, bare in zip(ours, by_hand, strict=True)]
    text = f"{p50(times):.2f} times (p50 {ms(p50(ours))} / {ms(p50(by_hand))}, {len(times)} times)"
    report.add(f"{_AT_ONCE} volumes attached at once ÷ the same jobs by hand", text, "1.1 times")


# --- through the API ------------------------------------------------------------------------------------


async def _asked(endpoint: Endpoint, compute: Service, pairs: Sequence[Pair]) -> float:
    """Seconds from the first request until all are attached."""
    own = [replace(compute, connection=Connection(compute.origin)) for _ in pairs]
    for service in own:
        await service.ask("GET", "/flavors?limit=1")  # connecting is not what is measured
    begun = time.perf_counter()
    await asyncio.gather(*(_attach(service, pair) for service, pair in zip(own, pairs, strict=True)))
    await _until_all(endpoint, pairs, "in-use")
    seconds = time.perf_counter() - begun
    for service in own:
        service.connection.close()
    await _detach(compute, pairs)
    await _until_all(endpoint, pairs, "available")
    return seconds


async def _attach(compute: Service, pair: Pair) -> None:
    body = {"volumeAttachment": {"volumeId": pair.volume_id}}
    await compute.ask("POST", f"/servers/{pair.server_id}/os-volume_attachments", body)


async def _detach(compute: Service, pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        await compute.ask("DELETE", f"/servers/{pair.server_id}/os-volume_attachments/{pair.volume_id}")


async def _until_all(endpoint: Endpoint, pairs: Sequence[Pair], status: str) -> None:
    wanted = {pair.volume_id for pair in pairs}

    async def look() -> bool:
        found = await endpoint.volume.ask("GET", f"/volumes/detail?limit=1000&status={status}")
        return wanted <= {row["id"] for row in found["volumes"]}

    await until(f"{len(wanted)} volumes are {status}", look, _LOOK)


# --- by hand ----------------------------------------------------------------------------------------------


async def _by_hand(ground: Ground, pairs: Sequence[Pair]) -> float:
    """Seconds from the first request until the last job ended, all sent as fast as RAPI takes them."""
    async with _rapi(ground) as rapi, _pool(ground) as (pool, db):
        plugs = [await _claimed(ground.cell.name, pool, db, pair) for pair in pairs]
        spoken = version.of(await rapi.get("/2/info"), "fake")
        adding = [
            ["add", -1, disks.parameters(ground.cell.name, pair.server_id, plug, spoken)]
            for pair, plug in zip(pairs, plugs, strict=True)
        ]
        begun = time.perf_counter()
        await _run(rapi, pairs, adding)
        seconds = time.perf_counter() - begun
        await _run(rapi, pairs, [["remove", volume_disk(pair.volume_id), {}] for pair in pairs])
        for pair, plug in zip(pairs, plugs, strict=True):
            await pool.release(plug.disk, disks.owner(ground.cell.name, pair.server_id), plug.generation)
    return seconds


async def _claimed(backend: str, pool: Qcow2Pool, db: Database, pair: Pair) -> Plug:
    """Without that, the nodes do not give the disk away."""
    generation = (await db.read(lambda tx: volumes.get(tx, pair.volume_id, None))).generation + 1
    await db.write(lambda tx: volumes.change(tx, pair.volume_id, generation=generation))
    plug = Plug(pair.volume_id, volume_disk(pair.volume_id), pool, -1, generation, GIB)
    await pool.claim(plug.disk, disks.owner(backend, pair.server_id), generation, card=True)
    return plug


async def _run(rapi: Rapi, pairs: Sequence[Pair], changes: Sequence[list[Any]]) -> None:
    jobs = await asyncio.gather(
        *(
            rapi.submit("PUT", f"/2/instances/{place.name_of(pair.server_id)}/modify", {"disks": [change]})
            for pair, change in zip(pairs, changes, strict=True)
        )
    )
    only = ["|", *(["=", "id", job] for job in jobs)]

    async def look() -> bool:
        rows = await rapi.query("job", ["id", "status", "opresult"], only)
        failed = [row for row in rows if row[1] in ("error", "canceled")]
        if failed:
            raise RuntimeError(f"Jobs by hand failed: {failed[0]}")
        return all(row[1] in _ENDED for row in rows)

    await until("all jobs have ended", look, _LOOK)


@contextlib.asynccontextmanager
async def _rapi(ground: Ground) -> AsyncIterator[Rapi]:
    """Beside the wire."""
    rapi = Rapi(ground.cell.name, place.access_of(ground.cell), answer_seconds=PATIENCE)
    try:
        yield rapi
    finally:
        await rapi.close()


@contextlib.asynccontextmanager
async def _pool(ground: Ground) -> AsyncIterator[tuple[Qcow2Pool, Database]]:
    db = Database(f"sqlite:///{ground.cloud.directory / 'cyclades.db'}")
    try:
        yield Qcow2Pool(ground.pool.name, Path(ground.pool), db), db
    finally:
        db.close()


async def _ends(ground: Ground, volume_id: str) -> list[float]:
    """When each attachment of the volume was made."""
    mine = sa.and_(operation.c.resource_id == volume_id, operation.c.kind == "volume_attach")
    query = sa.select(operation.c.ended_at).where(mine).order_by(operation.c.created_at)
    async with _pool(ground) as (_, db):
        return [ended / 1e6 for ended in await db.read(lambda tx: list(tx.execute(query).scalars()))]


async def _spans_of_jobs(rapi: Rapi) -> list[Span]:
    """From when Ganeti took each job in until its end."""
    rows = await rapi.query("job", ["received_ts", "end_ts"])
    return [(_seconds(begin), _seconds(end)) for begin, end in rows if begin and end]


def _seconds(stamp: Sequence[int]) -> float:
    """Ganeti has seconds and microseconds."""
    return stamp[0] + stamp[1] / 1e6
