"""Processes that want of one quota at the same time, each with clients of its own on one database."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from uuid import uuid4

import sqlalchemy as sa

from cyclades.config import Quotas
from cyclades.model import quota
from cyclades.model.errors import OverQuota
from cyclades.store import quotas, servers, snapshots, volumes
from cyclades.store.database import Database, Tx
from cyclades.store.schema import server, snapshot, volume

CLIENTS = 64
ADMITTED = 10
TYPE = "t" * 32
PATIENCE = 300.0  # seconds that a process may wait for the others
_SIZE = 3  # GiB
_USER, _ZONE = "u" * 32, "nova"
# Processes: SQLite is for one that serves, with operators' commands beside it.
PROCESSES = {"sqlite": 2, "postgresql": 4}


@dataclass(frozen=True)
class Kind:
    """What is wanted: `make` adds one, with its quota; `limits` admit `ADMITTED` of them."""

    limits: Quotas
    resource: str
    each: int
    make: Callable[[Tx, str, Quotas], None]


def make_volume(tx: Tx, project_id: str, limits: Quotas) -> None:
    _add_volume(tx, project_id)
    quotas.take(tx, limits, project_id, quota.of_volume(_SIZE, type_id=TYPE), volume_size=_SIZE)


def make_snapshot(tx: Tx, project_id: str, limits: Quotas) -> None:
    parent = tx.execute(sa.select(volume.c.id).where(volume.c.project_id == project_id)).scalar_one()
    snapshots.add(
        tx,
        uuid4().hex,
        project_id=project_id,
        user_id=_USER,
        volume_id=parent,
        status="available",
        size=_SIZE,
    )
    quotas.take(tx, limits, project_id, quota.of_snapshot(_SIZE, type_id=TYPE))


def make_server(tx: Tx, project_id: str, limits: Quotas) -> None:
    servers.add(
        tx,
        uuid4().hex,
        project_id=project_id,
        user_id=_USER,
        name="racer",
        hostname="racer",
        status="SHUTOFF",
        power="stopped",
        backend="local",
        flavor_id="f",
        flavor={"vcpus": 2, "ram": 64, "disk": 1},
    )
    quotas.take(tx, limits, project_id, quota.of_server(2, 64))


def _add_volume(tx: Tx, project_id: str) -> None:
    volumes.add(
        tx,
        uuid4().hex,
        project_id=project_id,
        user_id=_USER,
        status="available",
        size=_SIZE,
        volume_type_id=TYPE,
        pool="local",
        availability_zone=_ZONE,
    )


# One more than a whole number of what each takes, where that can be: the last one is to be too much, not too late.
KINDS = {
    "volumes": Kind(Quotas(volumes=ADMITTED), quota.VOLUMES, 1, make_volume),
    "gigabytes": Kind(Quotas(gigabytes=ADMITTED * _SIZE + 1), quota.GIGABYTES, _SIZE, make_volume),
    "snapshots": Kind(Quotas(snapshots=ADMITTED), quota.SNAPSHOTS, 1, make_snapshot),
    "servers": Kind(Quotas(servers=ADMITTED), quota.SERVERS, 1, make_server),
    "cores": Kind(Quotas(cores=ADMITTED * 2 + 1), quota.CORES, 2, make_server),
}


def prepare(tx: Tx, kind: str, project_id: str) -> None:
    """What is there before the race: a snapshot needs a volume."""
    if kind == "snapshots":
        _add_volume(tx, project_id)
        quotas.count(tx, project_id, quota.of_volume(_SIZE, type_id=TYPE))


def race(database: Database, kind: str, projects: Iterable[str]) -> None:
    """In each project, one after the other, `CLIENTS` in several processes want one of a kind at once."""
    url = database.url.render_as_string(hide_password=False)
    number = PROCESSES[database.engine.dialect.name]
    spawn = multiprocessing.get_context("spawn")
    at_once = spawn.Barrier(number)
    projects = list(projects)
    racers = [
        spawn.Process(target=_want, args=(url, kind, projects, CLIENTS // number, at_once), daemon=True)
        for _ in range(number)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * number


def _want(url: str, kind: str, projects: list[str], clients: int, at_once: Barrier) -> None:
    database = Database(url, threads=clients)
    try:
        for project_id in projects:
            at_once.wait(PATIENCE)
            asyncio.run(_want_in(database, KINDS[kind], project_id, clients))
    finally:
        database.close()


async def _want_in(database: Database, kind: Kind, project_id: str, clients: int) -> None:
    async def want() -> None:
        try:
            await database.write(lambda tx: kind.make(tx, project_id, kind.limits))
        except OverQuota as refusal:
            if refusal.resource != kind.resource:
                raise

    await asyncio.gather(*(want() for _ in range(clients)))


def living(tx: Tx, kind: str) -> dict[str, int]:
    """How many of a kind there are in each project."""
    table = {"snapshots": snapshot, "servers": server, "cores": server}.get(kind, volume)
    found = sa.select(table.c.project_id, sa.func.count().label("number")).group_by(table.c.project_id)
    return {row.project_id: row.number for row in tx.execute(found)}
