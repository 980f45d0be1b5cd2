"""What requests notice while a million deleted volumes are forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bench import fill
from bench.cloud import Cloud
from bench.endpoint import Broken, Endpoint
from bench.figures import Report, ms, percentile
from bench.load import Clients

DELETED = 1_000_000
_LIVING = 1_000
_CLIENTS = 4
_AT_ONCE = 1.0  # seconds that one kind of request is counted, before the next one's turn
_ROUNDS = 8
_NOW = {"CYCLADES_HOUSEKEEPING_DELETED_SECONDS": "1"}

Latencies = dict[str, list[float]]


async def _kinds(endpoint: Endpoint) -> dict[str, list[bytes]]:
    ids = await fill.ids(endpoint, _LIVING)
    service = endpoint.volume
    return {
        "GET volume": [service.request("GET", f"/volumes/{volume_id}") for volume_id in ids],
        "list of 10": [service.request("GET", "/volumes/detail?limit=10")],
        "PUT volume": [service.request("PUT", f"/volumes/{ids[0]}", {"volume": {"description": "bench"}})],
    }


def measure(report: Report, directory: Path) -> None:
    """The same requests on the same tables twice: first while nothing is old enough to be forgotten."""
    place = directory / "purge"
    file = place / "cyclades.db"
    with Cloud(place) as cloud:
        asyncio.run(_fill(cloud, file))
    with Cloud(place) as cloud:
        idle = asyncio.run(_requests(cloud))
    with Cloud(place, _NOW) as cloud:
        begun = time.monotonic()
        meanwhile = asyncio.run(_requests(cloud))
        if not _left(file):
            raise Broken("All was forgotten before the requests had been counted.")
        asyncio.run(_until_none_is_left(file))
        seconds = time.monotonic() - begun
    report.add(f"{DELETED:,} deleted volumes forgotten, in a second", f"{DELETED / seconds:,.0f}")
    for kind in idle:
        before, after = percentile(idle[kind], 95), percentile(meanwhile[kind], 95)
        text = f"{ms(after)}, {after / before:.2f} times the {ms(before)} without"
        report.add(f"{kind} meanwhile, {_CLIENTS} clients, p95", text, "2 times")


async def _fill(cloud: Cloud, file: Path) -> None:
    endpoint = await cloud.endpoint()
    await fill.into_the_tables(endpoint, file, _LIVING)
    await asyncio.to_thread(_add_deleted, file)


def _add_deleted(file: Path) -> None:
    """Copies of a volume that were deleted just now, straight into the tables."""
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(volume)")]
        moment = time.time_ns() // 1000
        new = {
            "id": "lower(hex(randomblob(4))||'-'||hex(randomblob(2))||'-'||hex(randomblob(2))||'-'||hex(randomblob(2))"
            "||'-'||hex(randomblob(6)))",
            "name": "'bench-' || i",
            "status": "'deleted'",
            "created_at": f"{moment} - 1000000 + i % 1000000",
            "deleted_at": f"{moment} + i",
        }
        values = ", ".join(new.get(name, name) for name in columns)
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {DELETED}) "
            f"INSERT INTO volume ({', '.join(columns)}) SELECT {values} FROM n, (SELECT * FROM volume LIMIT 1)"
        )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _requests(cloud: Cloud) -> Latencies:
    """How long answers took, all kinds by turns."""
    endpoint = await cloud.endpoint()
    found: Latencies = {}
    clients = Clients(endpoint.volume.origin, _CLIENTS)
    try:
        kinds = await _kinds(endpoint)
        for requests in kinds.values():
            await clients.once(requests)
        for _ in range(_ROUNDS):
            for kind, requests in kinds.items():
                run = await clients.run(requests, seconds=_AT_ONCE, most=1 << 30)
                if wrong := set(run.statuses) - {200}:
                    raise Broken(f"{kind} was answered {', '.join(map(str, sorted(wrong)))}")
                found.setdefault(kind, []).extend(run.latencies)
    finally:
        clients.close()
    return found


def _left(file: Path) -> int:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=60)) as connection:
        return int(connection.execute("SELECT count(*) FROM volume WHERE deleted_at IS NOT NULL").fetchone()[0])


async def _until_none_is_left(file: Path) -> None:
    while True:
        if not await asyncio.to_thread(_left, file):
            return
        await asyncio.sleep(1)
