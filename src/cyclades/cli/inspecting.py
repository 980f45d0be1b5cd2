"""Things as the database, the backend and the pools have them, side by side: looked at, not remembered.

Pools and backends are opened without listening to them, beside the engine that works with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.backends.base import SeenDisk, SeenServer
from cyclades.cli.beside import Cloud
from cyclades.cli.output import Fields
from cyclades.cli.reaching import reaching
from cyclades.cli.refused import DIFFERS
from cyclades.cli.resource import Resource
from cyclades.model.capabilities import template_of
from cyclades.model.errors import Fault
from cyclades.model.names import volume_disk
from cyclades.model.units import GIB
from cyclades.operations.base import World
from cyclades.operations.server_spec import owner
from cyclades.pools.base import DiskInfo
from cyclades.store import attachments, servers, volumes
from cyclades.store.database import Tx
from cyclades.store.schema import server

T = TypeVar("T")

_COLUMNS = ("what", "database", "backend", "pool", "differs")
# What is asked of whom, and what they say; `differs` where it is not the same.
INSPECTION = Resource(columns=_COLUMNS, more=(), key=sa.column("what"), read=lambda *_: [])


def volume(cloud: Cloud, volume_id: str) -> int:
    """Show a volume; returns the exit code."""
    row, plugs = cloud.db.read_now(lambda tx: _volume(tx, volume_id))
    return _show(cloud, asyncio.run(_looked(cloud, None, [(row, plug) for plug in plugs or [None]])))


def one_server(cloud: Cloud, server_id: str) -> int:
    """Show a server with its volumes; returns the exit code."""
    row, disks = cloud.db.read_now(lambda tx: _server(tx, server_id))
    return _show(cloud, asyncio.run(_looked(cloud, row, disks)))


def _volume(tx: Tx, volume_id: str) -> tuple[Row[Any], list[Row[Any] | None]]:
    row = volumes.get(tx, volume_id, None)
    return row, [one for one in attachments.of_volume(tx, volume_id) if one.server_id is not None]


def _server(tx: Tx, server_id: str) -> tuple[Row[Any], list[tuple[Row[Any], Row[Any] | None]]]:
    row = servers.get(tx, server_id, None)
    plugs = attachments.of_server(tx, server_id)
    return row, [(volumes.get(tx, plug.volume_id, None), plug) for plug in plugs]


def _show(cloud: Cloud, lines: list[Fields]) -> int:
    cloud.show_items(lines)
    return DIFFERS if any(line["differs"] for line in lines) else 0


async def _looked(cloud: Cloud, one: Row[Any] | None, disks: list[tuple[Row[Any], Row[Any] | None]]) -> list[Fields]:
    """The lines about a server, if one is asked about, and about each of the volumes with its attachment."""
    wanted = {plug.server_id for _, plug in disks if plug is not None} | ({one.id} if one is not None else set())
    backend_of = cloud.db.read_now(lambda tx: _backends_of(tx, wanted))
    lines = []
    async with reaching(cloud) as (world, closed):
        seen = {server_id: await _look(world, closed, name, server_id) for server_id, name in backend_of.items()}
        if one is not None:
            lines += _about_server(one, seen[one.id], disks)
        for row, plug in disks:
            disk = None
            if template_of(row.pool) is None:
                disk = await _asked(world.pools[row.pool].find(volume_disk(row.id)))
            there = None if plug is None else seen[plug.server_id]
            lines += _about_volume(row, plug, there, disk, None if plug is None else backend_of[plug.server_id])
    return lines


def _backends_of(tx: Tx, server_ids: set[str]) -> dict[str, str]:
    rows = tx.execute(sa.select(server.c.id, server.c.backend).where(server.c.id.in_(server_ids)))
    return {row.id: row.backend for row in rows}


async def _look(world: World, closed: Mapping[str, str], name: str, server_id: str) -> SeenServer | str:
    """The server as its backend has it, or why that is not known."""
    if name not in world.backends:
        return f"(backend {name} was not asked: {closed.get(name, 'there is no such')})"
    return await _asked(world.backends[name].look(server_id))


async def _asked(question: Awaitable[T]) -> T | str:
    """The answer, or why there is none."""
    try:
        return await question
    except Fault as problem:
        return f"({problem})"


def _about_server(row: Row[Any], seen: SeenServer | str, disks: list[tuple[Row[Any], Row[Any] | None]]) -> list[Fields]:
    if isinstance(seen, str):
        return [_line(f"server {row.id}", row.status, seen, differs=True)]
    runs = row.status in ("ACTIVE", "REBOOT", "HARD_REBOOT")
    busy = row.operation_id is not None
    lines = [
        _line(
            f"server {row.id}",
            row.status,
            seen.power,
            differs=not busy and row.status != "ERROR" and runs != (seen.power == "running"),
        )
    ]
    known = {volume_row.id for volume_row, _ in disks}
    lines += [
        _line(f"volume {disk.volume_id}", None, f"index {disk.index}, generation {disk.generation}", differs=True)
        for disk in seen.disks
        if disk.volume_id not in known
    ]
    return lines


def _about_volume(
    row: Row[Any],
    plug: Row[Any] | None,
    seen: SeenServer | str | None,
    disk: DiskInfo | str | None,
    backend: str | None,
) -> list[Fields]:
    """Of one on its way nothing differs: it is an operation's."""
    busy = row.operation_id is not None or row.status.startswith("error")
    title = f"volume {row.id}"
    in_pool = template_of(row.pool) is None
    there = _on_server(seen, row.id)
    lines = [_line(title, row.status, _shown(there), _shown(disk) if in_pool else None, differs=False)]
    sizes = (row.size * GIB, _size(there), _size(disk))
    lines.append(_line("  size in bytes", *sizes, differs=not busy and _differ(*sizes)))
    due = None if plug is None or backend is None else owner(backend, plug.server_id)
    held = None if plug is None else (due if isinstance(there, SeenDisk) else None)
    owned = disk.owner if isinstance(disk, DiskInfo) else None
    missing = plug is not None and not isinstance(there, SeenDisk)
    stray = in_pool and isinstance(disk, DiskInfo) and owned != due
    lines.append(_line("  belongs to", due, held, owned, differs=not busy and (missing or stray)))
    if plug is not None:
        numbers = (plug.generation, _generation(there), _generation(disk))
        lines.append(_line("  generation", *numbers, differs=not busy and _differ(*numbers)))
        index = there.index if isinstance(there, SeenDisk) else None
        lines.append(_line("  index", plug.disk_index, index, differs=not busy and index != plug.disk_index))
    lost = in_pool and not isinstance(disk, DiskInfo)
    if lost and not busy:
        lines[0] = {**lines[0], "differs": True}
    return lines


def _on_server(seen: SeenServer | str | None, volume_id: str) -> SeenDisk | str | None:
    if seen is None or isinstance(seen, str):
        return seen
    return next((disk for disk in seen.disks if disk.volume_id == volume_id), None)


def _shown(found: Any) -> str:
    if found is None:
        return "not there"
    return found if isinstance(found, str) else "there"


def _size(found: SeenDisk | DiskInfo | str | None) -> int | None:
    return None if found is None or isinstance(found, str) else found.size


def _generation(found: SeenDisk | DiskInfo | str | None) -> int | None:
    return None if found is None or isinstance(found, str) else found.generation


def _differ(*said: int | None) -> bool:
    """Whether those who say something do not say the same."""
    return len({one for one in said if one is not None}) > 1


def _line(what: str, database: Any, backend: Any, pool: Any = None, *, differs: bool) -> Fields:
    return {"what": what, "database": database, "backend": backend, "pool": pool, "differs": differs}
