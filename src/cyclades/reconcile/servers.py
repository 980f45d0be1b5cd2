"""Servers and what is plugged into them, on one backend: the local one or a Ganeti cluster.

One bulk read of the backend and a handful of queries, however many servers there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.backends.base import Backend, SeenDisk, SeenServer
from cyclades.config import Settings
from cyclades.engine import news
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations import (
    server_disk_name,
    server_remove_unknown,
    volume_detach,
    volume_extend,
    volume_replug,
    volume_unplug,
)
from cyclades.operations.base import World
from cyclades.reconcile.difference import CallerFor, Difference, Mending, touched
from cyclades.store import attachments, operations, servers
from cyclades.store.database import Tx
from cyclades.store.schema import attachment, server, volume

_SETTLED = ("ACTIVE", "SHUTOFF")  # in others a server is on its way, or known to be broken
_ALIVE = attachment.c.deleted_at.is_(None)


async def look(world: World, backend: Backend) -> list[Difference]:
    """What is not as it should be; `Fault` if the backend does not answer."""
    rows = await world.db.read(lambda tx: _Rows(tx, backend.name))
    seen = {one.server_id: one for one in await backend.servers()}
    stray = {disk.volume_id for one in seen.values() for disk in one.disks if disk.volume_id not in rows.of(one)}
    volumes = await world.db.read(lambda tx: _volumes(tx, stray))
    return list(_Comparison(world, backend.name, rows, seen, volumes).all())


class _Rows:
    """What the database says of a backend. `busy` are the ids that open operations are about."""

    def __init__(self, tx: Tx, backend: str) -> None:
        self.busy = {row.resource_id for row in operations.open_ones(tx)}
        self.servers = {row.id: row for row in servers.of_backend(tx, backend)}
        both = sa.select(attachment, volume.c.size, volume.c.pool, volume.c.operation_id.label("volume_operation_id"))
        both = both.join(volume, volume.c.id == attachment.c.volume_id).join(
            server, server.c.id == attachment.c.server_id
        )
        self.plugs: dict[str, dict[str, Row[Any]]] = {}
        for row in tx.execute(both.where(_ALIVE, server.c.backend == backend)):
            self.plugs.setdefault(row.server_id, {})[row.volume_id] = row

    def of(self, seen: SeenServer) -> dict[str, Row[Any]]:
        return self.plugs.get(seen.server_id, {})


def _volumes(tx: Tx, ids: Collection[str]) -> dict[str, Row[Any]]:
    """Living volumes, with the `server_id` of one that has each."""
    found = sa.select(volume, attachment.c.server_id).outerjoin(
        attachment, sa.and_(attachment.c.volume_id == volume.c.id, _ALIVE)
    )
    return {row.id: row for row in tx.execute(found.where(volume.c.id.in_(ids), volume.c.deleted_at.is_(None)))}


class _Comparison:
    def __init__(
        self, world: World, place: str, rows: _Rows, seen: dict[str, SeenServer], volumes: dict[str, Row[Any]]
    ) -> None:
        self.world, self.place, self.rows, self.seen, self.volumes = world, place, rows, seen, volumes
        self.where = {disk.volume_id: one.server_id for one in seen.values() for disk in one.disks}

    def all(self) -> Iterator[Difference]:
        for row in self.rows.servers.values():
            if row.status in _SETTLED and not self._is_busy(row):
                yield from self._server(row, self.seen.get(row.id))
        for server_id in self.seen:
            if server_id not in self.rows.servers and server_id not in self.rows.busy:
                yield self._unknown(self.seen[server_id])

    def _is_busy(self, row: Row[Any]) -> bool:
        plugs = self.rows.plugs.get(row.id, {}).values()
        return row.operation_id is not None or row.id in self.rows.busy or any(one.operation_id for one in plugs)

    # --- servers ----------------------------------------------------------------------------------

    def _server(self, row: Row[Any], there: SeenServer | None) -> Iterator[Difference]:
        if there is None:
            if row.power != "missing":
                yield self._missing(row)
            return
        if there.power == "unknown":
            return
        if (there.power in ("running", "paused")) != (row.status == "ACTIVE"):
            yield self._power(row, there)
        due, has = (row.flavor["vcpus"], row.flavor["ram"]), (there.vcpus, there.memory)
        if None not in has and due != has:
            yield Difference(
                "server-size",
                f"server {row.id}",
                self.place,
                f"{due[0]} vcpus, {due[1]} MiB",
                f"{has[0]} vcpus, {has[1]} MiB",
                "Stop the server and start it again: then it has what its flavor says.",
            )
        yield from self._disks(row, there)

    def _missing(self, row: Row[Any]) -> Difference:
        values = {"status": "SHUTOFF", "power": "missing", "reason": news.UNKNOWN}
        return self._of_row("server-missing", row, row.status, "the backend does not have it", values)

    def _power(self, row: Row[Any], there: SeenServer) -> Difference:
        return self._of_row("server-power", row, row.status, there.power, news.correction(row, there))

    def _of_row(self, kind: str, row: Row[Any], recorded: str, found: str, values: dict[str, Any]) -> Difference:
        """Mended by these values in the server's row."""

        def accept(tx: Tx, settings: Settings, caller: CallerFor) -> None:
            if not servers.change_unless_touched(tx, row, **values):
                raise touched(f"server {row.id}")

        return Difference(kind, f"server {row.id}", self.place, recorded, found, mendings=(Mending(kind, accept),))

    def _unknown(self, there: SeenServer) -> Difference:
        volumes = ", ".join(disk.volume_id for disk in there.disks) or "no volume"
        return Difference(
            "server-unknown",
            f"server {there.server_id}",
            self.place,
            "there is no such server",
            f"{there.power}, with {volumes}",
            mendings=(
                Mending(
                    "server-unknown",
                    lambda tx, settings, caller: server_remove_unknown.start(
                        tx, caller(""), self.place, there.server_id
                    ),
                ),
            ),
        )

    # --- disks ------------------------------------------------------------------------------------

    def _disks(self, row: Row[Any], there: SeenServer) -> Iterator[Difference]:
        plugs, disks = self.rows.plugs.get(row.id, {}), {disk.volume_id: disk for disk in there.disks}
        for volume_id, plug in plugs.items():
            if plug.volume_operation_id is not None or volume_id in self.rows.busy:
                continue
            if volume_id in disks:
                yield from self._disk(plug, disks[volume_id])
            else:
                yield self._not_plugged(plug)
        for volume_id in disks.keys() - plugs.keys() - self.rows.busy:
            yield from self._stray(row, disks[volume_id])
        for text in there.strange:
            advice = "It is no volume's. Remove it with the backend's own tools."
            yield Difference("disk-unknown", f"server {row.id}", self.place, "no such disk", text, advice)

    def _disk(self, plug: Row[Any], disk: SeenDisk) -> Iterator[Difference]:
        resource, name = f"volume {plug.volume_id}", volume_disk(plug.volume_id)
        if disk.name not in (None, name):
            yield Difference(
                "disk-renamed",
                resource,
                self.place,
                name,
                str(disk.name),
                mendings=(
                    Mending(
                        "disk-renamed",
                        lambda tx, settings, caller: server_disk_name.start(
                            tx, caller(plug.project_id), plug.server_id, plug.volume_id
                        ),
                    ),
                ),
            )
        due = plug.size * GIB
        if disk.size is not None and disk.size != due:
            yield size_differs(resource, self.place, plug.volume_id, plug.project_id, due, disk.size)

    def _not_plugged(self, plug: Row[Any]) -> Difference:
        def again(tx: Tx, settings: Settings, caller: CallerFor) -> None:
            volume_replug.start(tx, caller(plug.project_id), _same(tx, plug))

        def end(tx: Tx, settings: Settings, caller: CallerFor) -> None:
            volume_detach.start(tx, caller(plug.project_id), plug.server_id, _same(tx, plug).volume_id)

        elsewhere = self.where.get(plug.volume_id)
        return Difference(
            "disk-missing",
            f"volume {plug.volume_id}",
            self.place,
            f"attached to server {plug.server_id}",
            "not plugged in" if elsewhere is None else f"plugged into server {elsewhere}",
            mendings=(Mending("disk-missing", again), Mending("disk-detached", end)),
        )

    def _stray(self, row: Row[Any], disk: SeenDisk) -> Iterator[Difference]:
        """A disk that a server has without an attachment."""
        resource, found = f"volume {disk.volume_id}", f"plugged into server {row.id}"
        kept = self.volumes.get(disk.volume_id)
        if kept is None:
            advice = "Remove the disk with the backend's own tools, once you know that nobody needs it."
            yield Difference("disk-unknown", resource, self.place, "there is no such volume", found, advice)
            return
        if kept.operation_id is not None:
            return
        recorded = "not attached" if kept.server_id is None else f"attached to server {kept.server_id}"
        if kept.pool not in self.world.own_pools:
            # Ganeti removes a disk that it made itself with what is on it.
            advice = "Detach the disk with gnt-instance modify --disk INDEX:detach; do not remove it."
            yield Difference("disk-elsewhere", resource, self.place, recorded, found, advice)
            return

        def unplug(tx: Tx, settings: Settings, caller: CallerFor) -> None:
            volume_unplug.start(tx, caller(kept.project_id), self.place, row.id, kept.id, disk.generation)

        mendings = (Mending("disk-elsewhere", unplug),)
        yield Difference("disk-elsewhere", resource, self.place, recorded, found, mendings=mendings)


def _same(tx: Tx, plug: Row[Any]) -> Row[Any]:
    """The attachment, if it is still the one that was looked at."""
    row = attachments.get(tx, plug.server_id, plug.volume_id)
    if (row.id, row.generation) != (plug.id, plug.generation):
        raise touched(f"volume {plug.volume_id}")
    return row


def size_differs(resource: str, place: str, volume_id: str, project_id: str, due: int, has: int) -> Difference:
    """A volume of `due` bytes whose disk `has` others. One that has grown keeps what it has, in whole GiB."""
    recorded, found = f"{due} bytes", f"{has} bytes"
    if has < due:
        advice = "Extend the volume: then its disk has its size."
        return Difference("disk-size", resource, place, recorded, found, advice)

    def follow(tx: Tx, settings: Settings, caller: CallerFor) -> None:
        volume_extend.start(tx, caller(project_id), settings, volume_id, -(-has // GIB))

    return Difference("disk-size", resource, place, recorded, found, mendings=(Mending("disk-size", follow),))
