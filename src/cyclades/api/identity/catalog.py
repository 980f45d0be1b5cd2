"""What this cloud offers and where: the catalog in tokens, and services, endpoints and regions to read.

One table; it is the program's, not the operator's, so nothing here is written.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from cyclades.api.http.request import Request
from cyclades.api.identity import access, schemas, shapes, views
from cyclades.api.identity.service import SERVICE
from cyclades.config import Settings
from cyclades.model.errors import NotFound


class Offered(NamedTuple):
    """A service: its path below the public URL, in which `$(project_id)s` stands for the token's project."""

    type: str
    name: str
    path: str


OFFERED = (
    Offered("identity", "keystone", "/identity/v3"),
    Offered("image", "glance", "/image"),
    Offered("block-storage", "cinder", "/volume/v3"),
    Offered("volumev3", "cinder", "/volume/v3/$(project_id)s"),
    Offered("compute", "nova", "/compute/v2.1"),
    Offered("network", "neutron", "/network"),
    Offered("cyclades-events", "cyclades", "/events/v1"),
)
_INTERFACES = ("public", "internal", "admin")
_PROJECT = "$(project_id)s"
_OURS = uuid.UUID("6d0f9c6e-5c5b-5f0e-9a53-4a2a1ab33c1d")  # what our services' ids are made from


def _id(*names: str) -> str:
    """The same in every process and at every start."""
    return uuid.uuid5(_OURS, "/".join(names)).hex


def _endpoint(settings: Settings, offered: Offered, interface: str) -> dict[str, Any]:
    return {
        "id": _id(offered.type, interface),
        "interface": interface,
        "region": settings.api.region,
        "region_id": settings.api.region,
        "url": settings.public_url + offered.path,
    }


def catalog(settings: Settings, project_id: str | None) -> list[dict[str, Any]]:
    """As a token for this project has it. Without a project, the services that need one in their URL are left out."""
    found = []
    for offered in OFFERED:
        if _PROJECT in offered.path and project_id is None:
            continue
        placed = offered._replace(path=offered.path.replace(_PROJECT, project_id or ""))
        endpoints = [_endpoint(settings, placed, interface) for interface in _INTERFACES]
        found.append({"id": _id(offered.type), "type": offered.type, "name": offered.name, "endpoints": endpoints})
    return found


def _services(request: Request) -> list[dict[str, Any]]:
    return [
        {
            "id": _id(offered.type),
            "type": offered.type,
            "name": offered.name,
            "description": "",
            "enabled": True,
            "links": {"self": f"{request.base_url}/v3/services/{_id(offered.type)}"},
        }
        for offered in OFFERED
    ]


def _endpoints(request: Request) -> list[dict[str, Any]]:
    found = []
    for offered in OFFERED:
        for interface in _INTERFACES:
            view = _endpoint(request.settings, offered, interface)
            links = {"self": f"{request.base_url}/v3/endpoints/{view['id']}"}
            found.append({**view, "service_id": _id(offered.type), "enabled": True, "links": links})
    return found


def _regions(request: Request) -> list[dict[str, Any]]:
    region = request.settings.api.region
    links = {"self": f"{request.base_url}/v3/regions/{region}"}
    return [{"id": region, "description": "", "parent_region_id": None, "links": links}]


_READABLE = {
    "service": ("services", shapes.SERVICE, _services, ("type", "name")),
    "endpoint": ("endpoints", shapes.ENDPOINT, _endpoints, ("interface", "service_id", "region_id", "region")),
    "region": ("regions", shapes.REGION, _regions, ("parent_region_id",)),
}


def _add(kind: str) -> None:
    plural, item, rows, filters = _READABLE[kind]

    @SERVICE.route(
        "GET", f"/v3/{plural}", who="token", answer=shapes.listed(plural, item), query=schemas.parameters(*filters)
    )
    async def every(request: Request) -> dict[str, Any]:
        if kind != "region":
            access.admin(request)
        wanted = schemas.filters(request, *filters)
        found = (row for row in rows(request) if all(row[name] == value for name, value in wanted.items()))
        return views.listed(request, plural, found)

    @SERVICE.route("GET", f"/v3/{plural}/{{ident}}", who="token", answer=shapes.one(kind, item))
    async def show(request: Request) -> dict[str, Any]:
        if kind != "region":
            access.admin(request)
        for row in rows(request):
            if row["id"] == request.ids["ident"]:
                return {kind: row}
        raise NotFound(kind, request.ids["ident"])


for _kind in _READABLE:
    _add(_kind)
