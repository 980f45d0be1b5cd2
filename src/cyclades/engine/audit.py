"""Compares what the database says with itself, with the pools and with the backends.

It only looks. What an open operation owns is passed over: it is on its way. In a cloud where nothing went
wrong there is no difference, whatever crashed in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyclades.model.names import OURS, image_disk, snapshot_disk, volume_disk
from cyclades.model.status import HAS_DISK, SERVER_TRANSITIONAL, SNAPSHOT_STEADY, VOLUME_STEADY
from cyclades.operations.base import World
from cyclades.store import quota_check, schema
from cyclades.store.database import Tx

# Images in these wait for a client or for nobody.
_IMAGE_STEADY = frozenset({"queued", "saving", "active", "deactivated", "pending_delete", "deleted"})


@dataclass(frozen=True)
class Difference:
    """`resource` is its kind and id (or project), `text` says what is not as it should be."""

    resource: str
    text: str


async def differences(world: World) -> list[Difference]:
    """Everything that is not as it should be."""
    books = await world.db.read(_Books)
    found = [*_unowned(books), *_transfers(books), *_quota(books)]
    for name, pool in world.own_pools.items():
        disks = {disk.name: disk for disk in await pool.disks()}
        found += _pool(books, name, disks)
    for name, backend in world.backends.items():
        found += _backend(books, name, {server.server_id: server for server in await backend.servers()})
    return found


class _Books:
    """All living rows, read in one transaction."""

    def __init__(self, tx: Tx) -> None:
        self.volumes = _alive(tx, schema.volume)
        self.snapshots = _alive(tx, schema.snapshot)
        self.images = _alive(tx, schema.image)
        self.servers = _alive(tx, schema.server)
        self.transfers = _alive(tx, schema.transfer)
        # Clients' own attachments, to what runs elsewhere, are rows and nothing else.
        self.plugs = [row for row in _alive(tx, schema.attachment) if row.server_id is not None]
        snapshot_volumes = {row.volume_id for row in self.snapshots}
        parents = sa.select(schema.volume).where(schema.volume.c.id.in_(snapshot_volumes))
        self.parents = {row.id: row for row in tx.execute(parents)}
        self.due = quota_check.due(tx)
        self.usage = {(row.project_id, row.resource): row.used for row in tx.execute(sa.select(schema.quota_usage))}
        open_ones = sa.select(schema.operation.c.id).where(schema.operation.c.ended_at.is_(None))
        self.open = set(tx.execute(open_ones).scalars())
        self.is_quiet = not self.open


def _alive(tx: Tx, table: sa.Table) -> list[Any]:
    return list(tx.execute(sa.select(table).where(table.c.deleted_at.is_(None))).all())


def _unowned(books: _Books) -> list[Difference]:
    """A transitional status has an operation that owns it, and an operation that ended owns nothing."""
    found = []
    kinds: tuple[tuple[str, list[Any], Callable[[Any], bool]], ...] = (
        ("volume", books.volumes, lambda row: row.status in VOLUME_STEADY or row.held_since is not None),
        ("snapshot", books.snapshots, lambda row: row.status in SNAPSHOT_STEADY or row.held_since is not None),
        ("image", books.images, lambda row: row.status in _IMAGE_STEADY),
        ("server", books.servers, lambda row: row.status not in SERVER_TRANSITIONAL and row.task_state is None),
        ("attachment", books.plugs, lambda row: row.status == "attached"),
    )
    for kind, rows, steady in kinds:
        for row in rows:
            if row.operation_id is not None and row.operation_id not in books.open:
                text = f"belongs to operation {row.operation_id}, which is not open"
                found.append(Difference(f"{kind} {row.id}", text))
            elif row.operation_id is None and not steady(row):
                found.append(Difference(f"{kind} {row.id}", f"is {row.status}, and no operation owns it"))
    for kind, rows, all_steady in (
        ("volume", books.volumes, VOLUME_STEADY),
        ("snapshot", books.snapshots, SNAPSHOT_STEADY),
    ):
        found += [
            Difference(f"{kind} {row.id}", f"is {row.status}, yet marked as held in that")
            for row in rows
            if row.held_since is not None and (row.operation_id is not None or row.status in all_steady)
        ]
    return found


def _transfers(books: _Books) -> list[Difference]:
    """A volume is `awaiting-transfer` as long as a transfer offers it, and no longer."""
    found = []
    volumes = {row.id: row for row in books.volumes}
    for row in books.transfers:
        volume = volumes.get(row.volume_id)
        if volume is None:
            found.append(Difference(f"transfer {row.id}", f"offers volume {row.volume_id}, which does not exist"))
        elif volume.operation_id is None and volume.status != "awaiting-transfer":
            text = f"offers volume {row.volume_id}, which is {volume.status}"
            found.append(Difference(f"transfer {row.id}", text))
    offered = {row.volume_id for row in books.transfers}
    found += [
        Difference(f"volume {row.id}", "is awaiting-transfer, and no transfer offers it")
        for row in books.volumes
        if row.operation_id is None and row.status == "awaiting-transfer" and row.id not in offered
    ]
    return found


def _quota(books: _Books) -> list[Difference]:
    """Usage is the sum over what exists."""
    if not books.is_quiet:
        return []
    due = books.due
    return [
        Difference(f"project {project_id}", f"uses {due[key]} of {resource}, its quota says {books.usage.get(key, 0)}")
        for key in sorted({*due, *books.usage})
        for project_id, resource in [key]
        if due[key] != books.usage.get(key, 0)
    ]


def _pool(books: _Books, name: str, disks: dict[str, Any]) -> list[Difference]:
    found = []
    mine = {row.id: row for row in books.volumes if row.pool == name}
    needed = {volume_disk(row.id): row for row in mine.values() if row.status in HAS_DISK and row.operation_id is None}
    may_be = {volume_disk(volume_id) for volume_id in mine} | {image_disk(row.id) for row in books.images}
    for row in books.images:
        if row.pool == name and row.checksum is None and row.status == "active":
            needed[image_disk(row.id)] = row  # its bytes are nowhere else
    for row in books.snapshots:
        if books.parents[row.volume_id].pool == name:
            may_be.add(snapshot_disk(row.id))
            if row.status == "available" and row.operation_id is None:
                needed[snapshot_disk(row.id)] = row
    found += [Difference(f"pool {name}", f"has no disk {disk}") for disk in needed if disk not in disks]
    if books.is_quiet:
        found += [
            Difference(f"pool {name}", f"has a disk {disk} that nobody owns")
            for disk in disks
            if disk.startswith(OURS) and disk not in may_be
        ]
    plugged = {row.volume_id for row in books.plugs}
    for volume_id, row in mine.items():
        disk = disks.get(volume_disk(volume_id))
        if disk is None or row.operation_id is not None:
            continue
        if disk.size != row.size << 30:
            found.append(Difference(f"volume {volume_id}", f"has {row.size} GiB, its disk {disk.size} bytes"))
        if (disk.owner is not None) != (volume_id in plugged):
            text = f"its disk belongs to {disk.owner}, it is {'attached' if volume_id in plugged else 'not attached'}"
            found.append(Difference(f"volume {volume_id}", text))
    return found


def _backend(books: _Books, name: str, seen: dict[str, Any]) -> list[Difference]:
    found = []
    mine = {row.id: row for row in books.servers if row.backend == name}
    by_server: dict[str, set[str]] = {}
    moving = {row.server_id for row in books.plugs if row.operation_id is not None}
    for row in books.plugs:
        by_server.setdefault(row.server_id, set()).add(row.volume_id)
    for server_id, row in mine.items():
        if row.operation_id is not None or server_id in moving:
            continue
        there = seen.get(server_id)
        if row.status == "ERROR":
            continue
        if there is None:
            found.append(Difference(f"server {server_id}", f"is {row.status}, backend {name} does not have it"))
            continue
        if there.power == "unknown":
            found.append(Difference(f"server {server_id}", f"cannot be looked at on backend {name}"))
            continue
        if (there.power == "running") != (row.status == "ACTIVE"):
            found.append(Difference(f"server {server_id}", f"is {row.status}, backend {name} shows it {there.power}"))
        disks, due = {disk.volume_id for disk in there.disks}, by_server.get(server_id, set())
        for volume_id in sorted(disks ^ due):
            where = "is plugged in, but not attached" if volume_id in disks else "is attached, but not plugged in"
            found.append(Difference(f"server {server_id}", f"volume {volume_id} {where}"))
    if books.is_quiet:
        unknown = [server_id for server_id in seen if server_id not in mine]
        found += [Difference(f"backend {name}", f"has a server {server_id} that nobody owns") for server_id in unknown]
    return found
