"""/ports: where servers are plugged into the network."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.http.times import seconds
from cyclades.api.network import shapes
from cyclades.api.network.filters import FIELDS, PARAMETERS, listed, only
from cyclades.api.network.service import SERVICE
from cyclades.model import nics
from cyclades.model.errors import NotFound
from cyclades.model.nics import NETWORK_ID, SUBNET_ID, port_of
from cyclades.store import servers
from cyclades.store.pages import Key, Page
from cyclades.store.schema import server


def server_of(port_id: str) -> str:
    """`NotFound` if this is no port's id."""
    try:
        return nics.server_of(port_id)
    except ValueError:
        raise NotFound("port", port_id) from None


def _is_id(text: str) -> bool:
    try:
        return UUID(text) is not None
    except ValueError:
        return False


@SERVICE.route(
    "GET",
    "/v2.0/ports",
    who="reader",
    answer=shapes.listed("ports", shapes.PORT),
    query=PARAMETERS | {"device_id": {"type": "string"}},
)
async def every(request: Request) -> dict[str, Any]:
    found = servers.query(request.caller.scope).where(server.c.nic_number.is_not(None))
    if devices := request.query.get("device_id"):
        found = found.where(server.c.id.in_(devices))
    if ports := request.query.get("id"):
        found = found.where(server.c.id.in_([server_of(port) for port in ports if _is_id(port)]))
    marker = request.one("marker")
    wanted = Page(
        limit=min(request.whole("limit") or request.settings.api.page, request.settings.api.page),
        keys=[Key("created_at", descending=True), Key("id", descending=True)],
        marker=None if marker is None else server_of(marker),
    )
    rows, more = await request.db.read(lambda tx: servers.page(tx, found, wanted))
    request.query = {name: values for name, values in request.query.items() if name not in ("limit", "marker")}
    answer: dict[str, Any] = {"ports": listed(request, [_view(request, row) for row in rows])}
    if more:
        query = urlencode({**request.query, "limit": wanted.limit, "marker": port_of(rows[-1].id)}, doseq=True)
        answer["ports_links"] = [{"rel": "next", "href": f"{request.base_url}{request.path}?{query}"}]
    return answer


@SERVICE.route("GET", "/v2.0/ports/{port_id}", who="reader", answer=shapes.one("port", shapes.PORT), query=FIELDS)
async def show(request: Request) -> dict[str, Any]:
    port_id = request.ids["port_id"]
    try:
        row = await request.db.read(lambda tx: servers.get(tx, server_of(port_id), request.caller.scope))
    except NotFound:
        raise NotFound("port", port_id) from None
    if row.nic_number is None:
        raise NotFound("port", port_id)
    return {"port": only(_view(request, row), set(request.query.get("fields", ())))}


def _view(request: Request, row: Row[Any]) -> dict[str, Any]:
    (nic,) = row.nics
    return {
        "id": port_of(row.id),
        "name": "",
        "description": "",
        "network_id": NETWORK_ID,
        "mac_address": nic["mac"],
        "fixed_ips": [{"subnet_id": SUBNET_ID, "ip_address": nic["address"]}] if nic["address"] else [],
        "status": "ACTIVE" if row.status == "ACTIVE" else "DOWN",
        "admin_state_up": True,
        "device_id": row.id,
        "device_owner": f"compute:{request.settings.api.availability_zone}",
        "security_groups": [],
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "port_security_enabled": True,
        "binding:vnic_type": "normal",
        "tags": [],
        "tenant_id": row.project_id,
        "project_id": row.project_id,
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at or row.created_at),
        "revision_number": 1,
    }
