"""What old clients of Nova ask of the network: the one network there is, and nothing else; and a server's interface."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.compute import since
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.model.errors import Forbidden, NotFound
from cyclades.model.nics import NETWORK_CIDR, NETWORK_ID, SUBNET_ID, port_of
from cyclades.store import servers

_UNTIL = since.before(since.NETWORK_PROXIES_GONE)
_NOTHING = ("os-security-groups", "os-security-group-rules", "os-floating-ips")


def _one(key: str) -> None:
    path = f"/os-{key.replace('_', '-')}s"

    @SERVICE.route("GET", path, who="reader", until=_UNTIL)
    async def every(request: Request) -> dict[str, Any]:
        return {"networks": [_network(request)]}

    @SERVICE.route("GET", f"{path}/{{network_id}}", who="reader", until=_UNTIL)
    async def show(request: Request) -> dict[str, Any]:
        if request.ids["network_id"] != NETWORK_ID:
            raise NotFound("network", request.ids["network_id"])
        return {"network": _network(request)}

    SERVICE.route("POST", path, who="member", until=_UNTIL)(_refuse)
    SERVICE.route("DELETE", f"{path}/{{network_id}}", who="member", until=_UNTIL)(_refuse)


def _network(request: Request) -> dict[str, str]:
    return {"id": NETWORK_ID, "label": request.settings.compute.network_name, "cidr": str(NETWORK_CIDR)}


async def _refuse(_request: Request) -> None:
    raise Forbidden("network-read-only", "The network is the operator's: it can be read here, and not changed.")


def _none(name: str) -> None:
    key = name.removeprefix("os-").replace("-", "_")

    @SERVICE.route("GET", f"/{name}", who="reader", until=_UNTIL)
    async def every(_request: Request) -> dict[str, Any]:
        return {key: []}

    @SERVICE.route("GET", f"/{name}/{{ident}}", who="reader", until=_UNTIL)
    @SERVICE.route("PUT", f"/{name}/{{ident}}", who="member", until=_UNTIL)
    @SERVICE.route("DELETE", f"/{name}/{{ident}}", who="member", until=_UNTIL)
    async def show(request: Request) -> None:
        raise NotFound(key.removesuffix("s").replace("_", "-"), request.ids["ident"])

    SERVICE.route("POST", f"/{name}", who="member", until=_UNTIL)(_refuse)


_one("network")
_one("tenant_network")
for _name in _NOTHING:
    _none(_name)


@SERVICE.route("GET", "/os-floating-ip-pools", who="reader", until=_UNTIL)
async def pools(_request: Request) -> dict[str, Any]:
    return {"floating_ip_pools": []}


@SERVICE.route("GET", "/servers/{server_id}/os-security-groups", who="reader")
async def groups(request: Request) -> dict[str, Any]:
    await _server(request)
    return {"security_groups": []}


@SERVICE.route("GET", "/servers/{server_id}/os-interface", who="reader")
async def interfaces(request: Request) -> dict[str, Any]:
    row = await _server(request)
    return {"interfaceAttachments": [_interface(request, row, nic) for nic in row.nics]}


@SERVICE.route("GET", "/servers/{server_id}/os-interface/{port_id}", who="reader")
async def interface(request: Request) -> dict[str, Any]:
    row = await _server(request)
    if not row.nics or request.ids["port_id"] != port_of(row.id):
        raise NotFound("interface", request.ids["port_id"])
    return {"interfaceAttachment": _interface(request, row, row.nics[0])}


async def _server(request: Request) -> Row[Any]:
    return await request.db.read(lambda tx: servers.get(tx, request.ids["server_id"], request.caller.scope))


def _interface(request: Request, row: Row[Any], nic: dict[str, str]) -> dict[str, Any]:
    view: dict[str, Any] = {
        "port_id": port_of(row.id),
        "port_state": "ACTIVE" if row.status == "ACTIVE" else "DOWN",
        "net_id": NETWORK_ID,
        "mac_addr": nic["mac"],
        "fixed_ips": [{"subnet_id": SUBNET_ID, "ip_address": nic["address"]}] if nic["address"] else [],
    }
    if request.version >= since.ATTACHMENT_TAG:
        view["tag"] = row.extra.get("network_tag")
    return view
