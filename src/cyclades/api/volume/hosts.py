"""/os-hosts: what each pool holds, by project."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema, shape
from cyclades.api.volume import filters, services, shapes
from cyclades.api.volume.host_names import pool_of
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import NotFound
from cyclades.store import volumes
from cyclades.store.database import Tx

_HOST = shape(
    {
        "host_name": shapes.TEXT,
        "service": shapes.TEXT,
        "zone": shapes.TEXT,
        "service-status": {"enum": ["available", "unavailable"]},
        "service-state": {"const": "enabled"},
        "last-update": shapes.TIME,
    }
)


@SERVICE.route("GET", "/os-hosts", who="admin", answer=shapes.page("hosts", _HOST), query={"zone": filters.TEXT})
async def every(request: Request) -> dict[str, Any]:
    zone = request.one("zone")
    found = [
        {
            "host_name": service["host"],
            "service": service["binary"],
            "zone": service["zone"],
            "service-status": "available" if service["state"] == "up" else "unavailable",
            "service-state": service["status"],
            "last-update": service["updated_at"],
        }
        for service in await request.db.read(lambda tx: services.every(tx, request))
        if service["status"] == "enabled" and zone in (None, "", service["zone"])
    ]
    return {"hosts": found}


_COUNTS = ("volume_count", "total_volume_gb", "snapshot_count", "total_snapshot_gb")
_DIGITS: Schema = {"type": "string", "pattern": "^[0-9]+$"}
_HELD = shape({"host": shapes.TEXT, "project": shapes.TEXT, **dict.fromkeys(_COUNTS, _DIGITS)})


@SERVICE.route("GET", "/os-hosts/{host}", who="admin", answer=shapes.page("host", shapes.one("resource", _HELD)))
async def show(request: Request) -> dict[str, Any]:
    host = request.ids["host"]
    pool = pool_of(host)
    if not pool or pool not in request.settings.storage.pools:
        raise NotFound("host", host)

    def read(tx: Tx) -> list[dict[str, Any]]:
        held = volumes.held_by_projects(tx, pool)
        total = tuple(sum(one[i] for one in held.values()) for i in range(4))
        return [_resource(host, project, *counts) for project, counts in (("(total)", total), *sorted(held.items()))]

    return {"host": await request.db.read(read)}


def _resource(host: str, project: str, *counts: int) -> dict[str, Any]:
    shown = {name: str(count) for name, count in zip(_COUNTS, counts, strict=True)}
    return {"resource": {"host": host, "project": project, **shown}}
