"""What Nova has and we have nothing of: empty lists for who looks, and a refusal for who would make one."""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import hosts, since
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.api.http.service import Who
from cyclades.model.errors import Forbidden, NotFound
from cyclades.store import servers


def _nothing(path: str, key: str, what: str, *, reads: Who, writes: Who) -> None:
    @SERVICE.route("GET", path, who=reads)
    async def every(_request: Request) -> dict[str, Any]:
        return {key: []}

    async def missing(request: Request) -> None:
        raise NotFound(key.removesuffix("s").replace("_", "-"), request.ids["ident"])

    async def refuse(_request: Request) -> None:
        rule = f"{what.replace(' ', '-')}-not-offered"
        raise Forbidden(rule, f"There are no {what} here ({rule}).")

    SERVICE.route("POST", path, who=writes)(refuse)
    SERVICE.route("GET", f"{path}/{{ident}}", who=reads)(missing)
    SERVICE.route("PUT", f"{path}/{{ident}}", who=writes)(missing)
    SERVICE.route("DELETE", f"{path}/{{ident}}", who=writes)(missing)


_nothing("/os-aggregates", "aggregates", "aggregates", reads="admin", writes="admin")
_nothing("/os-server-groups", "server_groups", "server groups", reads="reader", writes="member")


@SERVICE.route("GET", "/os-migrations", who="admin")
async def migrations(_request: Request) -> dict[str, Any]:
    return {"migrations": []}


@SERVICE.route("GET", "/servers/{server_id}/migrations", who="admin", since=str(since.MIGRATIONS_OF_SERVER))
async def migrations_of_server(request: Request) -> dict[str, Any]:
    await _server(request)
    return {"migrations": []}


@SERVICE.route("GET", "/servers/{server_id}/os-server-password", who="reader")
async def password(request: Request) -> dict[str, Any]:
    """Guests keep theirs for themselves."""
    await _server(request)
    return {"password": ""}


@SERVICE.route("DELETE", "/servers/{server_id}/os-server-password", who="member", status=204)
async def forget_password(request: Request) -> None:
    await _server(request)


@SERVICE.route("GET", "/os-hosts", who="admin", until=since.before(since.HOSTS_GONE))
async def hosts_of_all(request: Request) -> dict[str, Any]:
    zone = request.settings.api.availability_zone
    if request.one("zone") not in (None, "", zone):
        return {"hosts": []}
    names = await request.db.read(lambda tx: hosts.names(tx, request))
    return {"hosts": [{"host_name": name, "service": "compute", "zone": zone} for name in names]}


async def _server(request: Request) -> None:
    await request.db.read(lambda tx: servers.get(tx, request.ids["server_id"], request.caller.scope))
