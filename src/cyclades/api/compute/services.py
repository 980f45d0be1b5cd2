"""/os-services: the backends and the engines, as Nova's clients know them. An admin may disable a backend: it takes no
new servers then, and those that it has go on."""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import hosts, since
from cyclades.api.compute.hosts import COMPUTE
from cyclades.api.compute.schemas import closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, NAME_NOT_EMPTY, Schema, is_true
from cyclades.model.errors import Conflict, Forbidden, Invalid, NotFound
from cyclades.store import backends
from cyclades.store.database import Tx

_BY_NAME_UNTIL = since.before(since.HOST_UUIDS)
_UUID_SINCE = str(since.HOST_UUIDS)
_NAMED: Schema = {"host": NAME_NOT_EMPTY, "binary": NAME_NOT_EMPTY}
_REASON: Schema = {"type": "string", "minLength": 1, "maxLength": 255}


@SERVICE.route("GET", "/os-services", who="admin")
async def index(request: Request) -> dict[str, Any]:
    host, binary = request.one("host"), request.one("binary")
    unknown = set(request.query) - {"host", "binary"}
    if unknown and request.version >= since.UNKNOWN_QUERY_REFUSED:
        raise Invalid("query-unknown", f"Additional query parameters are not allowed: {', '.join(sorted(unknown))}.")
    found = await request.db.read(lambda tx: hosts.services_of(tx, request))
    return {"services": [one for one in found if host in (None, one["host"]) and binary in (None, one["binary"])]}


def _enable(tx: Tx, host: str, binary: str, *, enabled: bool, reason: str | None) -> None:
    if binary != COMPUTE:
        raise Invalid("service-scheduler", f"Only {COMPUTE} can be enabled and disabled, not {binary}.")
    try:
        backends.change(tx, host, enabled=enabled, disabled_reason=reason)
    except NotFound as missing:
        raise NotFound("host-binary", f"{host}/{binary}") from missing


async def _change(request: Request, *, enabled: bool, reason: str | None = None) -> dict[str, Any]:
    host, binary = request.body["host"], request.body["binary"]
    await request.db.write(lambda tx: _enable(tx, host, binary, enabled=enabled, reason=reason))
    view = {"host": host, "binary": binary, "status": "enabled" if enabled else "disabled"}
    return {"service": view if reason is None else {**view, "disabled_reason": reason}}


_ONE = closed(_NAMED, "host", "binary")


@SERVICE.route("PUT", "/os-services/enable", who="admin", until=_BY_NAME_UNTIL, body=_ONE)
async def enable(request: Request) -> dict[str, Any]:
    return await _change(request, enabled=True)


@SERVICE.route("PUT", "/os-services/disable", who="admin", until=_BY_NAME_UNTIL, body=_ONE)
async def disable(request: Request) -> dict[str, Any]:
    return await _change(request, enabled=False)


@SERVICE.route(
    "PUT",
    "/os-services/disable-log-reason",
    who="admin",
    until=_BY_NAME_UNTIL,
    body=closed({**_NAMED, "disabled_reason": _REASON}, "host", "binary", "disabled_reason"),
)
async def disable_with_reason(request: Request) -> dict[str, Any]:
    return await _change(request, enabled=False, reason=request.body["disabled_reason"])


def _no_force() -> Forbidden:
    text = "A backend is not forced down: it is down when no engine reaches it, and its servers are not moved away."
    return Forbidden("service-forced-down", text)


@SERVICE.route(
    "PUT",
    "/os-services/force-down",
    who="admin",
    since=str(since.SERVICE_FORCED_DOWN),
    until=_BY_NAME_UNTIL,
    body=closed({**_NAMED, "forced_down": BOOLEAN}, "host", "binary", "forced_down"),
)
async def force_down(_request: Request) -> None:
    raise _no_force()


@SERVICE.route(
    "PUT",
    "/os-services/{service_id}",
    who="admin",
    since=_UUID_SINCE,
    body=closed({"status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": BOOLEAN}),
)
async def update(request: Request) -> dict[str, Any]:
    asked = request.body
    if is_true(asked.get("forced_down", False)):
        raise _no_force()
    reason = asked.get("disabled_reason")
    if reason is not None and asked.get("status") != "disabled":
        raise Invalid("service-reason", "Specifying disabled_reason requires that status is 'disabled'.")
    if "status" not in asked and "forced_down" not in asked:
        raise Invalid("service-update", "No updates were requested. Fields 'status' or 'forced_down' may be set.")

    def change(tx: Tx) -> dict[str, Any]:
        row = _find(tx, request)
        if "status" in asked:
            _enable(tx, row["host"], row["binary"], enabled=asked["status"] == "enabled", reason=reason)
        return _find(tx, request)

    return {"service": await request.db.write(change)}


@SERVICE.route("DELETE", "/os-services/{service_id}", who="admin", status=204)
async def delete(request: Request) -> None:
    row = await request.db.read(lambda tx: _find(tx, request))
    text = f"{row['binary']} on {row['host']} is named by the settings: take it out there."
    raise Conflict("service-in-settings", text)


def _find(tx: Tx, request: Request) -> dict[str, Any]:
    for found in hosts.services_of(tx, request):
        if str(found["id"]) == request.ids["service_id"]:
            return found
    raise NotFound("service", request.ids["service_id"])
