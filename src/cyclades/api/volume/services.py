"""/os-services: the engines, and each pool, as Cinder's clients know them.

A pool is a `cinder-volume`, which an admin may disable: it takes no new volumes then, and what is in it stays usable.
All engines together are the one `cinder-scheduler`; they are started and stopped, not disabled.
"""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import NAME_OR_NULL, Schema, shape
from cyclades.api.http.times import micros
from cyclades.api.volume import filters, shapes, since
from cyclades.api.volume.host_names import HOST, backend_of, pool_of
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid, NotFound
from cyclades.model.presence import is_up
from cyclades.store import pools, services
from cyclades.store.database import Tx
from cyclades.store.schema import now

SCHEDULER, VOLUME = "cinder-scheduler", "cinder-volume"


def every(tx: Tx, request: Request) -> list[dict[str, Any]]:
    """What all versions show of each."""
    zone = request.settings.api.availability_zone
    last_seen = services.every(tx, kind="engine")[:1]
    found = [_service(SCHEDULER, HOST, zone, engine.seen_at, enabled=True, reason=None) for engine in last_seen]
    for pool in pools.every(tx, request.settings.storage.pools):
        host = backend_of(pool.name)
        found.append(_service(VOLUME, host, zone, pool.seen_at, enabled=pool.enabled, reason=pool.disabled_reason))
    return found


def _service(binary: str, host: str, zone: str, seen_at: int, *, enabled: bool, reason: str | None) -> dict[str, Any]:
    return {
        "binary": binary,
        "host": host,
        "zone": zone,
        "status": "enabled" if enabled else "disabled",
        "state": "up" if is_up(seen_at, now()) else "down",
        "updated_at": micros(seen_at),
        "disabled_reason": reason,
    }


_UP: Schema = {"enum": ["up", "down"]}
_STATUS: Schema = {"enum": ["enabled", "disabled"]}
_OF_POOLS: Schema = {
    "replication_status": {"const": "not-capable"},
    "active_backend_id": shapes.NULL,
    "frozen": {"const": False},
    "backend_state": _UP,
}
_SHOWN = shape(
    {
        "binary": {"enum": [SCHEDULER, VOLUME]},
        "host": shapes.TEXT,
        "zone": shapes.TEXT,
        "status": _STATUS,
        "state": _UP,
        "updated_at": shapes.TIME,
        "disabled_reason": shapes.TEXT_OR_NULL,
        "cluster": shapes.NULL,
        **_OF_POOLS,
    },
    optional=_OF_POOLS,
)
_QUERY = {"host": filters.TEXT, "binary": filters.TEXT}


@SERVICE.route("GET", "/os-services", who="admin", answer=shapes.page("services", _SHOWN), query=_QUERY)
async def index(request: Request) -> dict[str, Any]:
    host, binary = request.one("host"), request.one("binary")
    found = [
        service
        for service in await request.db.read(lambda tx: every(tx, request))
        if binary in (None, service["binary"]) and host in (None, service["host"], service["host"].partition("@")[0])
    ]
    for service in found:
        if service["binary"] == VOLUME:
            service |= {"replication_status": "not-capable", "active_backend_id": None, "frozen": False}
            if request.version >= since.SERVICE_BACKEND_STATE:
                service["backend_state"] = service["state"]
        if request.version >= since.SERVICE_CLUSTER:
            service["cluster"] = None
    return {"services": found}


_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255}


_ONE = {"binary": _NAME, "service": _NAME, "host": _NAME, "cluster": NAME_OR_NULL}
_NAMED = {"anyOf": [{"required": ["binary"]}, {"required": ["service"]}]}
_SET = shape(_ONE, optional=set(_ONE) - {"host"}) | _NAMED
_CHANGED: Schema = {
    "host": shapes.TEXT,
    "service": shapes.TEXT,
    "binary": shapes.TEXT,
    "status": _STATUS,
    "disabled": shapes.TRUTH,
}


async def _change(request: Request, *, enabled: bool, reason: str | None) -> dict[str, Any]:
    asked = request.body
    host, binary = asked["host"], asked.get("binary") or asked["service"]

    def change(tx: Tx) -> None:
        if (binary, host) == (SCHEDULER, HOST):
            raise Invalid("service-scheduler", "Engines are started and stopped, not enabled and disabled.")
        pool = pool_of(host)
        if binary != VOLUME or not pool or pool not in request.settings.storage.pools:
            raise NotFound("service", f"{binary} on {host}")
        pools.change(tx, pool, enabled=enabled, disabled_reason=reason)

    await request.db.write(change)
    return {
        "host": host,
        "service": asked.get("service", ""),
        "binary": asked.get("binary", ""),
        "status": "enabled" if enabled else "disabled",
        "disabled": not enabled,
    }


_ENABLED = shape(_CHANGED | {"disabled_reason": shapes.NULL})


@SERVICE.route("PUT", "/os-services/enable", who="admin", body=_SET, answer=_ENABLED)
async def enable(request: Request) -> dict[str, Any]:
    return {**await _change(request, enabled=True, reason=None), "disabled_reason": None}


@SERVICE.route("PUT", "/os-services/disable", who="admin", body=_SET, answer=shape(_CHANGED))
async def disable(request: Request) -> dict[str, Any]:
    return await _change(request, enabled=False, reason=None)


_REASON: Schema = {"disabled_reason": {**_NAME, "pattern": "\\S"}}


@SERVICE.route(
    "PUT",
    "/os-services/disable-log-reason",
    who="admin",
    body=shape(_ONE | _REASON, optional=set(_ONE) - {"host"}) | _NAMED,
    answer=shape(_CHANGED | {"disabled_reason": shapes.TEXT}),
)
async def disable_with_reason(request: Request) -> dict[str, Any]:
    reason = request.body["disabled_reason"].strip()
    return {**await _change(request, enabled=False, reason=reason), "disabled_reason": reason}


_WHICH: Schema = {"host": NAME_OR_NULL, "cluster": NAME_OR_NULL, "backend_id": NAME_OR_NULL}
_REPLICATED = shape(_WHICH, optional=_WHICH)


@SERVICE.route("PUT", "/os-services/freeze", who="admin", body=_REPLICATED)
@SERVICE.route("PUT", "/os-services/thaw", who="admin", body=_REPLICATED)
@SERVICE.route("PUT", "/os-services/failover_host", who="admin", body=_REPLICATED)
async def refuse(_: Request) -> None:
    raise Invalid("pool-replication", "No pool is replicated: there is nothing to freeze, to thaw or to fail over to.")
