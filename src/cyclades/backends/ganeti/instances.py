"""Ganeti's instances, as RAPI shows them and wants them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cyclades.backends.base import Power
from cyclades.backends.ganeti.rapi import NotThere, Rapi
from cyclades.model.errors import Failed
from cyclades.model.names import OURS, volume_disk, volume_of
from cyclades.model.units import MIB

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UUID = re.compile(_ID)
_FIELDS = [
    "name",
    "status",
    "admin_state",
    "pnode",
    "disk_template",
    "disk.uuids",
    "disk.names",
    "disk.sizes",
    "be/maxmem",
    "be/vcpus",
]
_POWER: dict[str, Power] = {
    "running": "running",
    "ERROR_up": "running",
    "ADMIN_down": "stopped",
    "ADMIN_offline": "stopped",
    "USER_down": "stopped",
    "ERROR_down": "crashed",
}


@dataclass(frozen=True)
class Disk:
    """One of an instance. `name` is free to be changed by anybody; `uuid` is Ganeti's own. `size` is bytes."""

    uuid: str
    name: str | None
    size: int

    @property
    def volume_id(self) -> str | None:
        """The volume that its name says it is; None for a disk that is none of ours."""
        volume_id = volume_of(self.name or "")
        return volume_id if _UUID.fullmatch(volume_id) and self.name == volume_disk(volume_id) else None


@dataclass(frozen=True)
class Instance:
    """`wanted_up`: Ganeti means to keep it running. `memory` is MiB. `disks` are in the order of their index."""

    server_id: str
    name: str
    power: Power
    wanted_up: bool
    node: str
    template: str
    disks: tuple[Disk, ...]
    memory: int
    vcpus: int

    @property
    def runs(self) -> bool:
        return self.power == "running"


class Names:
    """Those of the instances that are our servers: `snf-<server id>.<domain>`. Others are left alone."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._form = re.compile(rf"{OURS}({_ID})\.{re.escape(domain)}")

    def of(self, server_id: str) -> str:
        if not _UUID.fullmatch(server_id):
            raise Failed(f"{server_id!r} cannot be the id of a server.")
        return f"{OURS}{server_id}.{self._domain}"

    def helper(self, volume_id: str) -> str:
        """The instance that is made to get rid of a volume's detached disk."""
        return f"{OURS}helper-{volume_id}.{self._domain}"

    def server_of(self, name: str) -> str | None:
        found = self._form.fullmatch(name)
        return found[1] if found else None


async def find(rapi: Rapi, names: Names, server_id: str) -> Instance | None:
    with suppress(NotThere):
        rows = await rapi.query("instance", _FIELDS, ["=", "name", names.of(server_id)])
        return _read(names, rows[0]) if rows else None
    return None


async def some(rapi: Rapi, names: Names, server_ids: Collection[str]) -> dict[str, Instance]:
    """Those of these servers that are there, by one read."""
    if len(server_ids) == 1:
        found = [await find(rapi, names, server_id) for server_id in server_ids]
    else:
        # Ganeti fails a query for names if one of them is unknown, and one for a pattern never.
        wanted = "|".join(names.of(server_id).replace(".", r"\.") for server_id in sorted(server_ids))
        found = [_read(names, row) for row in await rapi.query("instance", _FIELDS, ["=~", "name", f"^({wanted})$"])]
    return {one.server_id: one for one in found if one is not None}


async def every(rapi: Rapi, names: Names) -> list[Instance]:
    """All that are ours, by one read."""
    rows = await rapi.query("instance", _FIELDS, ["=~", "name", f"^{OURS}"])
    return [found for row in rows if (found := _read(names, row)) is not None]


def _read(names: Names, row: Sequence[Any]) -> Instance | None:
    name, status, admin_state, node, template, uuids, disk_names, sizes, memory, vcpus = row
    server_id = names.server_of(name)
    if server_id is None:
        return None
    disks = zip(uuids or (), disk_names or (), sizes or (), strict=True)
    return Instance(
        server_id=server_id,
        name=name,
        power=_POWER.get(status, "unknown"),
        wanted_up=admin_state == "up",
        node=node,
        template=template,
        disks=tuple(Disk(uuid, disk_name, size * MIB) for uuid, disk_name, size in disks),
        memory=memory,
        vcpus=vcpus,
    )
