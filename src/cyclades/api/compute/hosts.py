"""Backends by the names and numbers that Nova's clients know: services and hypervisors."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from sqlalchemy import Row

from cyclades.api.compute import since
from cyclades.api.http.request import Request
from cyclades.api.http.times import micros
from cyclades.model.presence import is_up
from cyclades.store import backends, clusters, services
from cyclades.store.database import Tx
from cyclades.store.schema import now

COMPUTE, SCHEDULER = "nova-compute", "nova-scheduler"
SCHEDULER_HOST = "cyclades"  # all engines are one
_INTERNAL_ZONE = "internal"


def every(tx: Tx, request: Request) -> list[Row[Any]]:
    return backends.every(tx, names(tx, request))


def names(tx: Tx, request: Request) -> list[str]:
    """Of all backends, also of those that no engine has looked at."""
    return [*(one.name for one in request.settings.backends), *(one.name for one in clusters.every(tx))]


def number_or_uuid(request: Request, kind: str, name: str, number: int) -> int | str:
    """From 2.53 on ids are UUIDs, which stay the same."""
    return number if request.version < since.HOST_UUIDS else str(uuid5(NAMESPACE_DNS, f"{name}.{kind}.cyclades"))


def services_of(tx: Tx, request: Request) -> list[dict[str, Any]]:
    """Each backend is a `nova-compute`; the engines together are the one `nova-scheduler`."""
    zone = request.settings.api.availability_zone
    found = [
        _service(request, number, COMPUTE, row.name, zone, row.seen_at, row.disabled_reason, enabled=row.enabled)
        for number, row in enumerate(every(tx, request), start=1)
    ]
    for engine in services.every(tx, kind="engine")[:1]:
        number = len(found) + 1
        found.append(_service(request, number, SCHEDULER, SCHEDULER_HOST, _INTERNAL_ZONE, engine.seen_at, None))
    return found


def _service(
    request: Request,
    number: int,
    binary: str,
    host: str,
    zone: str,
    seen_at: int,
    reason: str | None,
    *,
    enabled: bool = True,
) -> dict[str, Any]:
    view = {
        "id": number_or_uuid(request, binary, host, number),
        "binary": binary,
        "host": host,
        "zone": zone,
        "status": "enabled" if enabled else "disabled",
        "state": "up" if is_up(seen_at, now()) else "down",
        "updated_at": micros(seen_at),
        "disabled_reason": reason,
    }
    if request.version >= since.SERVICE_FORCED_DOWN:
        view["forced_down"] = False  # an engine that is not seen is taken for dead soon enough
    return view
