"""/networks and /subnets: the one that every server is in."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.network import shapes
from cyclades.api.network.filters import FIELDS, PARAMETERS, listed, only
from cyclades.api.network.service import SERVICE
from cyclades.model.errors import NotFound
from cyclades.model.nics import NETWORK_CIDR, NETWORK_ID, SUBNET_ID

_NETWORK: dict[str, Any] = {
    "id": NETWORK_ID,
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
    shown = shapes.fixed(item)

    @SERVICE.route("GET", f"/v2.0/{name}s", who="reader", answer=shapes.listed(f"{name}s", shown), query=PARAMETERS)
    async def every(request: Request) -> dict[str, Any]:
        return {f"{name}s": listed(request, [item | _as_set(request)])}

    @SERVICE.route("GET", f"/v2.0/{name}s/{{{name}_id}}", who="reader", answer=shapes.one(name, shown), query=FIELDS)
    async def show(request: Request) -> dict[str, Any]:
        if request.ids[f"{name}_id"] != item["id"]:
            raise NotFound(name, request.ids[f"{name}_id"])
        return {name: only(item | _as_set(request), set(request.query.get("fields", ())))}


def _as_set(request: Request) -> dict[str, Any]:
    """What the operator's settings say of both."""
    settings = request.settings
    return {"name": settings.compute.network_name, "availability_zones": [settings.api.availability_zone]}


_routes("network", _NETWORK)
_routes("subnet", _SUBNET)
