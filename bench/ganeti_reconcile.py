"""A look at all servers of a cluster that are as they should be: what is asked of it, and what each server costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from tests.ganeti import configuration, place
from tests.ganeti.cell import Cell

from bench.endpoint import Broken
from bench.figures import Report, ms, p50
from bench.options import Options
from bench.wire import Wire
from cyclades.backends.ganeti import Access, GanetiBackend, GanetiOptions
from cyclades.config import PoolSettings, load
from cyclades.engine import world as assembly
from cyclades.model.names import volume_disk
from cyclades.operations.base import World
from cyclades.reconcile import servers
from cyclades.store import schema
from cyclades.store.database import Database, Tx

if TYPE_CHECKING:
    from bench.ganeti import Ground

_FEW, _MANY = 50, 200


async def measure(options: Options, report: Report, ground: Ground) -> None:
    """The servers are copies of one, in our tables and in Ganeti's configuration."""
    db = Database(f"sqlite:///{ground.cloud.directory / 'cyclades.db'}")
    settings = load(None, {}, data=str(ground.cloud.directory))
    settings.pools, settings.backends = (PoolSettings(ground.pool.name, directory=ground.pool),), ()
    world, _ = assembly.build(settings, db)
    copies, cost = _Copies(ground.cell, db, ground.servers[0]), {}
    try:
        for number in (_FEW, _MANY):
            await copies.add(number - len(ground.servers) - len(copies.ids))
            cost[number] = await _passes(options, report, ground, world, number)
    finally:
        await copies.remove()
        db.close()
    few, many = cost[_FEW] / _FEW, cost[_MANY] / _MANY
    text = f"{many / few:.2f} times (CPU {ms(many)} / {ms(few)})"
    report.add(f"reconcile, each of {_MANY} servers ÷ each of {_FEW}", text, "1 times")
    report.note("The servers that are reconciled are copies of one, also in the cluster's configuration; none ran.")


async def _passes(options: Options, report: Report, ground: Ground, world: World, number: int) -> float:
    """Seconds of our CPU for a pass (p50)."""
    backend = _backend(ground.cell, place.access_of(ground.cell), world.db)
    cpu, whole = [], []
    for _ in range(options.rounds + 1):
        begun, used = time.perf_counter(), time.process_time()
        differences = await servers.look(world, backend)
        cpu.append(time.process_time() - used)
        whole.append(time.perf_counter() - begun)
        if differences:
            raise Broken(f"servers that nobody has touched differ: {differences[0]}")
    await backend.close()
    async with Wire(ground.cell.plan.port).open() as wire:
        seen_by_wire = _backend(ground.cell, _by(wire, ground.cell), world.db)
        await servers.look(world, seen_by_wire)
        await seen_by_wire.close()
    text = f"{wire.begun} calls, CPU {ms(p50(cpu[1:]))}, in all {ms(p50(whole[1:]))}"  # the first one warms up
    report.add(f"reconcile, {number} servers of one cluster", text, "a handful of calls")
    return p50(cpu[1:])


def _by(wire: Wire, cell: Cell) -> Access:
    direct = place.access_of(cell)
    return Access(url=wire.url, user=direct.user, password=direct.password, certificate=direct.certificate)


def _backend(cell: Cell, access: Access, db: Database) -> GanetiBackend:
    return GanetiBackend(cell.name, access, GanetiOptions(domain=place.DOMAIN, hypervisor="fake"), db)


class _Copies:
    """Copies of the server `original`, which has one disk. They were never started, so no node knows of them."""

    def __init__(self, cell: Cell, db: Database, original: str) -> None:
        self._cell, self._db, self._original = cell, db, original
        self.ids: list[str] = []

    async def add(self, number: int) -> None:
        made = [(str(uuid4()), str(uuid4()), str(uuid4())) for _ in range(number)]
        await self._db.write(lambda tx: self._into_the_tables(tx, made))
        with configuration.changing(self._cell) as config:
            instance = next(one for one in config["instances"].values() if one["name"] == place.name_of(self._original))
            disk = config["disks"][instance["disks"][0]]
            for server_id, volume_id, uuid in made:
                kept = disk | {"uuid": uuid, "name": volume_disk(volume_id)}
                config["disks"][uuid] = kept | {"logical_id": [disk["logical_id"][0], f"{uuid}.ext.disk0"]}
                named = {"uuid": server_id, "name": place.name_of(server_id), "disks": [uuid]}
                config["instances"][server_id] = instance | named
        self.ids += [server_id for server_id, *_ in made]

    async def remove(self) -> None:
        gone = set(self.ids)
        with configuration.changing(self._cell) as config:
            for server_id in gone:
                for uuid in config["instances"].pop(server_id)["disks"]:
                    del config["disks"][uuid]
        await self._db.write(lambda tx: _out_of_the_tables(tx, gone))

    def _into_the_tables(self, tx: Tx, made: list[tuple[str, str, str]]) -> None:
        server = _row(tx, schema.server, schema.server.c.id == self._original)
        of_server = schema.attachment.c.server_id == self._original
        attachment = _row(tx, schema.attachment, sa.and_(of_server, schema.attachment.c.is_root))
        volume = _row(tx, schema.volume, schema.volume.c.id == attachment["volume_id"])
        kept = _row(tx, schema.backend_disk, schema.backend_disk.c.server_id == self._original)
        for server_id, volume_id, uuid in made:
            both = {"server_id": server_id, "volume_id": volume_id}
            tx.execute(schema.server.insert(), [server | {"id": server_id}])
            tx.execute(schema.volume.insert(), [volume | {"id": volume_id}])
            tx.execute(schema.attachment.insert(), [attachment | both | {"id": str(uuid4())}])
            tx.execute(schema.backend_disk.insert(), [kept | both | {"uuid": uuid}])


def _row(tx: Tx, table: sa.Table, which: sa.ColumnElement[bool]) -> dict[str, Any]:
    return tx.execute(sa.select(table).where(which)).one()._asdict()


def _out_of_the_tables(tx: Tx, servers: set[str]) -> None:
    mine = schema.attachment.c.server_id.in_(servers)
    volumes = list(tx.execute(sa.select(schema.attachment.c.volume_id).where(mine)).scalars())
    tx.execute(schema.backend_disk.delete().where(schema.backend_disk.c.server_id.in_(servers)))
    tx.execute(schema.attachment.delete().where(mine))
    tx.execute(schema.volume.delete().where(schema.volume.c.id.in_(volumes)))
    tx.execute(schema.server.delete().where(schema.server.c.id.in_(servers)))
