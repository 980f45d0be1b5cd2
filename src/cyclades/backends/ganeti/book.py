"""What we know of the disks in a cluster's books, and Ganeti does not: whose attachment each belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row

from cyclades.backends.base import Plug
from cyclades.backends.ganeti import disks
from cyclades.backends.ganeti.instances import Disk
from cyclades.model.capabilities import kept_by_cluster
from cyclades.store import backend_disks
from cyclades.store.database import Database, Tx

# Rows of `backend_disk` by Ganeti's uuid of the disk. One that is read before an instance is looked at tells the truth
# about a disk that the instance lacks: it was there, and has gone.
Rows = Mapping[str, Row[Any]]

_KEPT = ("volume_id", "server_id", "template", "size", "generation", "held")


class Book:
    """Of the cluster `backend`."""

    def __init__(self, database: Database, backend: str) -> None:
        self._db, self._backend = database, backend

    async def of_server(self, server_id: str) -> Rows:
        return _by_uuid(await self._db.read(lambda tx: backend_disks.of_server(tx, self._backend, server_id)))

    async def of_volume(self, volume_id: str) -> Rows:
        """Those that no server has included."""
        return _by_uuid(await self._db.read(lambda tx: backend_disks.of_volume_in(tx, self._backend, volume_id)))

    async def all(self) -> Rows:
        return _by_uuid(await self._db.read(lambda tx: backend_disks.of_backend(tx, self._backend)))

    async def of(self, uuid: str) -> Row[Any] | None:
        return _by_uuid(await self._db.read(lambda tx: backend_disks.of_backend(tx, self._backend, [uuid]))).get(uuid)

    async def saw(self, server_id: str, found: Iterable[tuple[Disk, Plug]]) -> None:
        """Write down whose these disks of a server are."""
        pairs = list(found)

        def write(tx: Tx) -> None:
            for disk, plug in pairs:
                backend_disks.saw(
                    tx,
                    self._backend,
                    disk.uuid,
                    volume_id=plug.volume_id,
                    server_id=server_id,
                    template=disks.template_of(plug),
                    size=disk.size,
                    generation=plug.generation,
                    held=False,
                )

        await self._db.write(write)

    async def change(self, row: Row[Any], **values: Any) -> None:
        """`held` or `size` of a disk."""
        kept = {name: getattr(row, name) for name in _KEPT}
        await self._db.write(lambda tx: backend_disks.saw(tx, self._backend, row.uuid, **(kept | values)))

    async def left(self, rows: Iterable[Row[Any]]) -> None:
        """It is proven that nothing of their server reaches these disks any more. Those that the cluster keeps are
        known on."""
        gone = list(rows)

        def write(tx: Tx) -> None:
            for row in gone:
                if kept_by_cluster(row.template):
                    kept = {name: getattr(row, name) for name in _KEPT}
                    backend_disks.saw(tx, self._backend, row.uuid, **(kept | {"server_id": None, "held": False}))
                else:
                    backend_disks.gone(tx, self._backend, row.uuid)

        if gone:
            await self._db.write(write)

    async def deleted(self, rows: Iterable[Row[Any]]) -> None:
        """The cluster has these disks no more."""
        uuids = [row.uuid for row in rows]

        def write(tx: Tx) -> None:
            for uuid in uuids:
                backend_disks.gone(tx, self._backend, uuid)

        if uuids:
            await self._db.write(write)


def _by_uuid(rows: Iterable[Row[Any]]) -> Rows:
    return {row.uuid: row for row in rows}
