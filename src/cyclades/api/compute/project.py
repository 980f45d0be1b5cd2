"""What a project may have and has, and where: limits, quota sets, availability zones."""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import hosts, since
from cyclades.api.compute.keypairs import MOST_KEYPAIRS
from cyclades.api.compute.schemas import closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.api.http.versions import Version
from cyclades.model import quota
from cyclades.model.errors import Forbidden, Invalid, NotFound
from cyclades.store import projects, quotas
from cyclades.store.database import Tx

# Nova's name → ours.
_COUNTED = {"instances": quota.SERVERS, "cores": quota.CORES, "ram": quota.RAM}
# What Nova limits and we do not have: none of it may be had.
_NOT_OURS = ("server_groups", "server_group_members")
_NETWORK = ("floating_ips", "fixed_ips", "security_groups", "security_group_rules")
_FILES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")


def _fixed(request: Request) -> dict[str, int]:
    """Limits that are the same for all projects, by version."""
    found = {"metadata_items": request.settings.limits.metadata_items, "key_pairs": MOST_KEYPAIRS}
    found |= dict.fromkeys(_NOT_OURS, 0)
    if request.version < since.NETWORK_PROXIES_GONE:
        found |= dict.fromkeys(_NETWORK, 0)
    if request.version < since.PERSONALITY_GONE:
        found |= dict.fromkeys(_FILES, 0)
    return found


def _limits(tx: Tx, request: Request, project_id: str) -> dict[str, int]:
    own = quotas.limits(tx, request.settings.quotas, project_id)
    return {**{theirs: own[ours] for theirs, ours in _COUNTED.items()}, **_fixed(request)}


@SERVICE.route("GET", "/limits", who="reader")
async def limits(request: Request) -> dict[str, Any]:
    asked = request.one("tenant_id")
    if asked is not None and asked != request.caller.project_id and not request.caller.is_admin:
        raise Forbidden("limits-project", "Only admins see the limits of other projects.")
    project_id = asked or request.caller.project_id

    def read(tx: Tx) -> dict[str, int]:
        most, used = _limits(tx, request, project_id), quotas.usage(tx, project_id)
        absolute = {
            "maxTotalInstances": most["instances"],
            "maxTotalCores": most["cores"],
            "maxTotalRAMSize": most["ram"],
            "maxTotalKeypairs": MOST_KEYPAIRS,
            "maxServerMeta": most["metadata_items"],
            "maxServerGroups": 0,
            "maxServerGroupMembers": 0,
            "totalInstancesUsed": used[quota.SERVERS],
            "totalCoresUsed": used[quota.CORES],
            "totalRAMUsed": used[quota.RAM],
            "totalServerGroupsUsed": 0,
        }
        if request.version < since.NETWORK_PROXIES_GONE:
            names = ("maxTotalFloatingIps", "maxSecurityGroups", "maxSecurityGroupRules")
            absolute |= dict.fromkeys((*names, "totalFloatingIpsUsed", "totalSecurityGroupsUsed"), 0)
        if request.version < since.IMAGE_PROXIES_GONE:
            absolute["maxImageMeta"] = most["metadata_items"]
        if request.version < since.PERSONALITY_GONE:
            absolute |= {"maxPersonality": 0, "maxPersonalitySize": 0}
        return absolute

    return {"limits": {"rate": [], "absolute": await request.db.read(read)}}


def _project(tx: Tx, request: Request) -> str:
    """The project in the path: one's own, or any for an admin."""
    project_id, caller = request.ids["project_id"], request.caller
    if project_id != caller.project_id and not caller.is_admin:
        raise Forbidden("quota-project", "Only admins see the quotas of other projects.")
    try:
        projects.get(tx, project_id)
    except NotFound as missing:
        raise Invalid("quota-project", f"Project ID {project_id} is not a valid project.") from missing
    return project_id


@SERVICE.route("GET", "/os-quota-sets/{project_id}", who="reader")
async def show_quota(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        project_id = _project(tx, request)
        return {"id": project_id, **_limits(tx, request, project_id)}

    return {"quota_set": await request.db.read(read)}


@SERVICE.route("GET", "/os-quota-sets/{project_id}/detail", who="reader")
async def show_quota_detail(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        project_id = _project(tx, request)
        used = quotas.usage(tx, project_id)
        rows = {
            name: {"limit": limit, "in_use": used.get(_COUNTED.get(name, ""), 0), "reserved": 0}
            for name, limit in _limits(tx, request, project_id).items()
        }
        return {"id": project_id, **rows}

    return {"quota_set": await request.db.read(read)}


@SERVICE.route("GET", "/os-quota-sets/{project_id}/defaults", who="reader")
async def show_defaults(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        defaults = quotas.defaults(tx, request.settings.quotas)
        counted = {theirs: defaults[ours] for theirs, ours in _COUNTED.items()}
        return {"id": _project(tx, request), **counted, **_fixed(request)}

    return {"quota_set": await request.db.read(read)}


def _quota(version: Version) -> Schema:
    limit: Schema = {
        "type": ["integer", "string"],
        "pattern": "^(-1|[0-9]{1,10})$",
        "minimum": -1,
        "maximum": 2**31 - 1,
    }
    names = [*_COUNTED, "metadata_items", "key_pairs", *_NOT_OURS]
    names += _NETWORK if version < since.NETWORK_PROXIES_GONE else ()
    names += _FILES if version < since.PERSONALITY_GONE else ()
    properties: Schema = {**dict.fromkeys(names, limit), "force": {"type": ["boolean", "string"]}}
    properties["tenant_id"] = {"type": "string", "maxLength": 64}
    return closed({"quota_set": closed(properties)}, "quota_set")


@SERVICE.route("PUT", "/os-quota-sets/{project_id}", who="admin", body=_quota)
async def set_quota(request: Request) -> dict[str, Any]:
    asked = {
        name: int(value) for name, value in request.body["quota_set"].items() if name not in ("force", "tenant_id")
    }

    def change(tx: Tx) -> dict[str, Any]:
        project_id, fixed = _project(tx, request), _fixed(request)
        for name, limit in asked.items():
            if name in _COUNTED:
                quotas.set_limit(tx, project_id, _COUNTED[name], limit)
            elif limit != fixed[name]:
                raise Invalid("quota-resource", f"The limit of {name} is {fixed[name]} for all projects.", field=name)
        return _limits(tx, request, project_id)

    return {"quota_set": await request.db.write(change)}


@SERVICE.route("DELETE", "/os-quota-sets/{project_id}", who="admin", status=202)
async def forget_quota(request: Request) -> None:
    def change(tx: Tx) -> None:
        project_id = _project(tx, request)
        quotas.forget_limits(tx, project_id, _COUNTED.values())

    await request.db.write(change)


# --- what all projects may have by default --------------------------------------------------------

_CLASS = "/os-quota-class-sets/{class_name}"


def _class(tx: Tx, request: Request) -> dict[str, Any]:
    """Other classes are there, too, in Nova: they are as the default one, and no project is in them."""
    most = quotas.defaults(tx, request.settings.quotas)
    found = {**{theirs: most[ours] for theirs, ours in _COUNTED.items()}, **_fixed(request)}
    if request.version < since.QUOTA_PROXIES_GONE:
        found = {name: limit for name, limit in found.items() if name not in _NOT_OURS}
        found |= dict.fromkeys(_NETWORK, 0)
    return found


@SERVICE.route("GET", _CLASS, who="admin")
async def show_class(request: Request) -> dict[str, Any]:
    limits = await request.db.read(lambda tx: _class(tx, request))
    return {"quota_class_set": {"id": request.ids["class_name"], **limits}}


def _class_body(version: Version) -> Schema:
    schema: Schema = _quota(version)["properties"]["quota_set"]
    limits = {name: limit for name, limit in schema["properties"].items() if name not in ("force", "tenant_id")}
    return closed({"quota_class_set": closed(limits)}, "quota_class_set")


@SERVICE.route("PUT", _CLASS, who="admin", body=_class_body)
async def set_class(request: Request) -> dict[str, Any]:
    def change(tx: Tx) -> dict[str, Any]:
        if request.ids["class_name"] != quotas.DEFAULT_CLASS:
            raise Invalid("quota-class", "Only the class 'default' has limits of its own.", field="class_name")
        for name, limit in request.body["quota_class_set"].items():
            if name in _COUNTED:
                quotas.set_class_limit(tx, _COUNTED[name], int(limit))
            elif int(limit) != (fixed := _fixed(request).get(name, 0)):
                raise Invalid("quota-resource", f"The limit of {name} is {fixed} for all projects.", field=name)
        return _class(tx, request)

    return {"quota_class_set": await request.db.write(change)}


def _zone(request: Request) -> dict[str, Any]:
    return {"zoneName": request.settings.api.availability_zone, "zoneState": {"available": True}, "hosts": None}


@SERVICE.route("GET", "/os-availability-zone", who="reader")
async def zones(request: Request) -> dict[str, Any]:
    return {"availabilityZoneInfo": [_zone(request)]}


@SERVICE.route("GET", "/os-availability-zone/detail", who="admin")
async def zones_in_detail(request: Request) -> dict[str, Any]:
    found = await request.db.read(lambda tx: hosts.services_of(tx, request))
    up: dict[str, dict[str, Any]] = {}
    for one in found:
        if one["binary"] == hosts.COMPUTE:
            state = {"available": one["state"] == "up", "active": one["status"] == "enabled"}
            up[one["host"]] = {one["binary"]: {**state, "updated_at": one["updated_at"]}}
    return {"availabilityZoneInfo": [{**_zone(request), "hosts": up}]}
