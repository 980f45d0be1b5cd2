"""Servers with volumes: ten asked for at once, what others notice of that, and a long list of them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench import guest_image
from bench.cloud import Cloud
from bench.endpoint import Endpoint, Service
from bench.figures import Report, ms, p50, percentile, spread
from bench.http import Connection
from bench.options import Options
from cyclades.operations.base import new_id
from cyclades.store.database import Database, Tx
from cyclades.store.schema import attachment, server, volume

_SERVERS, _MEMORY, _VOLUMES = 10, 96, 2  # MiB
_LISTED = 1_000
_PACE = 0.01  # seconds between two requests of who looks at the API meanwhile
_NEIGHBOUR = "/volumes/detail?limit=10"
_FLAVOR = {"name": "bench", "ram": _MEMORY, "vcpus": 1, "disk": 0}


async def measure(options: Options, report: Report, endpoint: Endpoint, cloud: Cloud) -> None:
    compute = endpoint.compute
    assert compute is not None
    admin = (await cloud.endpoint("admin")).compute
    assert admin is not None
    flavor_id = (await admin.ask("POST", "/flavors", {"flavor": _FLAVOR}))["flavor"]["id"]
    wanted = _wanted(await guest_image.upload(endpoint), flavor_id)
    await _one_by_one(min(options.rounds, _SERVERS), report, compute, wanted)
    idle = await _neighbour(endpoint.volume, asyncio.create_task(asyncio.sleep(options.seconds)))
    everything = asyncio.create_task(_at_once(compute, wanted))
    meanwhile = await _neighbour(endpoint.volume, everything)
    accepted, active, ids = await everything
    report.add(f"POST server, one of {_SERVERS} at once → accepted", spread(accepted))
    report.add(f"{_SERVERS} servers with {_VOLUMES} volumes each → all ACTIVE", f"{active:.1f} s")
    report.add(f"{_NEIGHBOUR}, idle", spread(idle))
    times = percentile(meanwhile, 95) / percentile(idle, 95)
    report.add("the same, meanwhile", f"{spread(meanwhile)}: p95 {times:.1f} times", "p95 3 times")
    await _delete(compute, ids[1:])
    await _lists(options, report, endpoint, cloud, ids[0])
    await _delete(compute, ids[:1])


def _wanted(image_id: str, flavor_id: str) -> dict[str, Any]:
    blank = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    root = {"source_type": "image", "destination_type": "local", "uuid": image_id, "boot_index": 0}
    about = {"name": "bench", "imageRef": image_id, "flavorRef": flavor_id, "networks": "auto"}
    return {"server": {**about, "block_device_mapping_v2": [root, *[blank] * _VOLUMES]}}


async def _one_by_one(rounds: int, report: Report, compute: Service, wanted: dict[str, Any]) -> None:
    accepted = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        server_id = (await compute.ask("POST", "/servers", wanted))["server"]["id"]
        accepted.append(time.perf_counter() - begun)
        await compute.until(f"/servers/{server_id}", "server", "ACTIVE")
        await _delete(compute, [server_id])
    report.add("POST server → accepted", spread(accepted[1:]), "p50 20 ms")  # the first one warms up


async def _at_once(compute: Service, wanted: dict[str, Any]) -> tuple[list[float], float, list[str]]:
    """Seconds until each was accepted, seconds until all were ACTIVE, their ids."""
    begun = time.perf_counter()
    answers = await asyncio.gather(*(_accepted(compute, wanted) for _ in range(_SERVERS)))
    ids = [server_id for _, server_id in answers]
    for server_id in ids:
        await compute.until(f"/servers/{server_id}", "server", "ACTIVE")
    return [seconds for seconds, _ in answers], time.perf_counter() - begun, ids


async def _accepted(compute: Service, wanted: dict[str, Any]) -> tuple[float, str]:
    own = Service(compute.origin, compute.path, compute.headers, Connection(compute.origin), compute.pause)
    try:
        await own.ask("GET", "/flavors?limit=1")  # connecting is not what is measured
        begun = time.perf_counter()
        server_id = (await own.ask("POST", "/servers", wanted))["server"]["id"]
        return time.perf_counter() - begun, str(server_id)
    finally:
        own.connection.close()


async def _neighbour(service: Service, until: asyncio.Task[Any]) -> list[float]:
    """How long each request of somebody else takes, until the task has ended."""
    taken: list[float] = []
    while not until.done() or not taken:
        begun = time.perf_counter()
        await service.ask("GET", _NEIGHBOUR)
        taken.append(time.perf_counter() - begun)
        await asyncio.sleep(_PACE)
    return taken


async def _delete(compute: Service, ids: list[str]) -> None:
    for server_id in ids:
        await compute.ask("DELETE", f"/servers/{server_id}")
    for server_id in ids:
        await compute.until_gone(f"/servers/{server_id}")


# --- a long list ----------------------------------------------------------------------------------


async def _lists(options: Options, report: Report, endpoint: Endpoint, cloud: Cloud, original: str) -> None:
    assert endpoint.compute is not None
    db = Database(f"sqlite:///{cloud.directory}/cyclades.db")
    made: dict[str, list[str]] = {}
    try:
        made = await db.write(lambda tx: _copies(tx, original, _LISTED))
        of_servers = await _rows(endpoint.compute, "/servers/detail", "servers", options.rounds)
        of_volumes = await _rows(endpoint.volume, "/volumes/detail", "volumes", options.rounds)
    finally:
        await db.write(lambda tx: _forget(tx, made))
        db.close()
    report.add(f"list of {_LISTED:,} volumes in detail, each", ms(of_volumes))
    times = of_servers / of_volumes
    report.add(
        f"list of {_LISTED:,} servers with their volumes, each", f"{ms(of_servers)}: {times:.2f} times", "1.5 times"
    )


async def _rows(service: Service, path: str, key: str, rounds: int) -> float:
    """Seconds for each row, at the middle."""
    taken = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        found = (await service.ask("GET", f"{path}?limit={_LISTED}"))[key]
        taken.append((time.perf_counter() - begun) / len(found))
    return p50(taken[1:])


def _copies(tx: Tx, original: str, number: int) -> dict[str, list[str]]:
    """Rows like those of a server and its volumes, straight into the tables: without disks and without a network (its
    number is each server's own). Ids by table."""
    mine = tx.execute(server.select().where(server.c.id == original)).one()._asdict()
    plugs = [row._asdict() for row in tx.execute(attachment.select().where(attachment.c.server_id == original))]
    disks = {
        plug["volume_id"]: tx.execute(volume.select().where(volume.c.id == plug["volume_id"])).one()._asdict()
        for plug in plugs
    }
    servers, attachments, volumes = [], [], []
    for i in range(number):
        copy = {**mine, "id": new_id(), "nic_number": None, "created_at": mine["created_at"] + i}
        servers.append(copy)
        for plug in plugs:
            disk = {**disks[plug["volume_id"]], "id": new_id(), "created_at": mine["created_at"] + i}
            volumes.append(disk)
            attachments.append({**plug, "id": new_id(), "server_id": copy["id"], "volume_id": disk["id"]})
    tx.execute(server.insert(), servers)
    tx.execute(volume.insert(), volumes)
    tx.execute(attachment.insert(), attachments)
    rows = {"attachment": attachments, "server": servers, "volume": volumes}
    return {name: [row["id"] for row in of_table] for name, of_table in rows.items()}


def _forget(tx: Tx, made: dict[str, list[str]]) -> None:
    for table in (attachment, volume, server):
        for ident in made.get(table.name, ()):
            tx.execute(table.delete().where(table.c.id == ident))
