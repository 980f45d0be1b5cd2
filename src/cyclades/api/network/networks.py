"""/networks and /subnets: the one that every server is in."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.network.filters import listed, only
from cyclades.api.network.service import SERVICE
from cyclades.model.errors import NotFound
from cyclades.model.nics import NETWORK_CIDR, NETWORK_ID, NETWORK_NAME, SUBNET_ID

_NETWORK: dict[str, Any] = {
    "id": NETWORK_ID,
    "name": NETWORK_NAME,
    "description": "",
    "status": "ACTIVE",
    "admin_state_up": True,
    "shared": True,
    "router:external": False,
    "is_default": True,
    "port_security_enabled": True,
    "mtu": 1500,
    "subnets": [SUBNET_ID],
    "availability_zone_hints": [],
    "tags": [],
    "ipv4_address_scope": None,
    "ipv6_address_scope": None,
    "tenant_id": "",
    "project_id": "",
}
_SUBNET: dict[str, Any] = {
    "id": SUBNET_ID,
    "name": NETWORK_NAME,
    "description": "",
    "network_id": NETWORK_ID,
    "ip_version": 4,
    "cidr": str(NETWORK_CIDR),
    # Each server has a gateway of its own.
    "gateway_ip": None,
    "enable_dhcp": True,
    "allocation_pools": [{"start": str(NETWORK_CIDR[1]), "end": str(NETWORK_CIDR[-2])}],
    "dns_nameservers": [],
    "host_routes": [],
    "ipv6_address_mode": None,
    "ipv6_ra_mode": None,
    "subnetpool_id": None,
    "tags": [],
    "tenant_id": "",
    "project_id": "",
}


def _routes(name: str, item: dict[str, Any]) -> None:
    @SERVICE.route("GET", f"/v2.0/{name}s", who="reader")
    async def every(request: Request) -> dict[str, Any]:
        return {f"{name}s": listed(request, [item | {"availability_zones": _zones(request)}])}

    @SERVICE.route("GET", f"/v2.0/{name}s/{{{name}_id}}", who="reader")
    async def show(request: Request) -> dict[str, Any]:
        if request.ids[f"{name}_id"] != item["id"]:
            raise NotFound(name, request.ids[f"{name}_id"])
        found = item | {"availability_zones": _zones(request)}
        return {name: only(found, set(request.query.get("fields", ())))}


def _zones(request: Request) -> list[str]:
    return [request.settings.api.availability_zone]


_routes("network", _NETWORK)
_routes("subnet", _SUBNET)
