"""What a project may have and has, and where: limits, quota sets, availability zones, extensions."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.api.volume.service import SERVICE
from cyclades.config import UNLIMITED
from cyclades.model import quota
from cyclades.model.errors import Invalid, NotFound
from cyclades.store import projects, quotas, volume_types
from cyclades.store.database import Tx

# What Cinder counts and we do not have.
_NOT_OURS = ("backups", "backup_gigabytes", "groups")
_OURS = (quota.VOLUMES, quota.GIGABYTES, quota.SNAPSHOTS)


def _names(tx: Tx) -> list[str]:
    types = [row.name for row in volume_types.every(tx, all_types=True)]
    return [*_OURS, *(f"{name}_{type_name}" for type_name in types for name in _OURS)]


def _limits(tx: Tx, request: Request, project_id: str) -> dict[str, int]:
    own = quotas.limits(tx, request.settings.quotas, project_id)
    return {
        **{name: own.get(name, UNLIMITED) for name in _names(tx)},
        "per_volume_gigabytes": request.settings.quotas.per_volume_gigabytes,
        **dict.fromkeys(_NOT_OURS, 0),
    }


@SERVICE.route("GET", "/limits", who="reader")
async def limits(request: Request) -> dict[str, Any]:
    project_id = request.caller.project_id
    if request.caller.is_admin and (asked := request.one("project_id")):
        project_id = asked

    def read(tx: Tx) -> dict[str, Any]:
        most = _limits(tx, request, project_id)
        used = quotas.usage(tx, project_id)
        return {
            "maxTotalVolumes": most[quota.VOLUMES],
            "maxTotalSnapshots": most[quota.SNAPSHOTS],
            "maxTotalVolumeGigabytes": most[quota.GIGABYTES],
            "maxTotalBackups": 0,
            "maxTotalBackupGigabytes": 0,
            "totalVolumesUsed": used[quota.VOLUMES],
            "totalSnapshotsUsed": used[quota.SNAPSHOTS],
            "totalGigabytesUsed": used[quota.GIGABYTES],
            "totalBackupsUsed": 0,
            "totalBackupGigabytesUsed": 0,
        }

    return {"limits": {"rate": [], "absolute": await request.db.read(read)}}


def _project(tx: Tx, request: Request) -> str:
    """The project in the path: one's own, or any for an admin."""
    project_id = request.ids["project_id"]
    caller = request.caller
    if project_id != caller.project_id and not caller.is_admin:
        raise NotFound("project", project_id)
    projects.get(tx, project_id)
    return project_id


@SERVICE.route("GET", "/os-quota-sets/{project_id}", who="reader")
async def show_quota(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        project_id = _project(tx, request)
        most = _limits(tx, request, project_id)
        if not request.flag("usage"):
            return {"id": project_id, **most}
        used = quotas.usage(tx, project_id)
        return {
            "id": project_id,
            **{name: {"limit": n, "in_use": used.get(name, 0), "reserved": 0} for name, n in most.items()},
        }

    return {"quota_set": await request.db.read(read)}


@SERVICE.route("GET", "/os-quota-sets/{project_id}/defaults", who="reader")
async def show_defaults(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        project_id = _project(tx, request)
        defaults = {name: quotas.default_limit(request.settings.quotas, name) for name in _names(tx)}
        per_volume = request.settings.quotas.per_volume_gigabytes
        return {"id": project_id, **defaults, "per_volume_gigabytes": per_volume, **dict.fromkeys(_NOT_OURS, 0)}

    return {"quota_set": await request.db.read(read)}


_QUOTA: Schema = {
    "type": "object",
    "properties": {
        "quota_set": {
            "type": "object",
            "maxProperties": 1000,
            "additionalProperties": {
                "type": ["integer", "string", "null"],
                "pattern": "^(-1|[0-9]{1,15})$",
                "minimum": -1,
                "maximum": 2**53,
            },
            "properties": {"force": {"type": "boolean"}, "tenant_id": {"type": "string", "maxLength": 64}},
        }
    },
    "required": ["quota_set"],
    "additionalProperties": False,
}


@SERVICE.route("PUT", "/os-quota-sets/{project_id}", who="admin", body=_QUOTA)
async def set_quota(request: Request) -> dict[str, Any]:
    asked = {
        name: int(value)
        for name, value in request.body["quota_set"].items()
        if name not in ("force", "tenant_id") and value is not None
    }

    def change(tx: Tx) -> dict[str, Any]:
        project_id = _project(tx, request)
        known = _names(tx)
        for name, limit in asked.items():
            if name in known:
                quotas.set_limit(tx, project_id, name, limit)
            elif limit > 0 or name not in _NOT_OURS:
                raise Invalid("quota-resource", f"There is no quota for {name!r} here.", field=name)
        return _limits(tx, request, project_id)

    return {"quota_set": await request.db.write(change)}


@SERVICE.route("DELETE", "/os-quota-sets/{project_id}", who="admin")
async def forget_quota(request: Request) -> None:
    def change(tx: Tx) -> None:
        project_id = _project(tx, request)
        for name in _names(tx):
            quotas.forget_limit(tx, project_id, name)

    await request.db.write(change)


@SERVICE.route("GET", "/os-availability-zone", who="reader")
async def zones(request: Request) -> dict[str, Any]:
    zone = request.settings.api.availability_zone
    return {"availabilityZoneInfo": [{"zoneName": zone, "zoneState": {"available": True}}]}


@SERVICE.route("GET", "/extensions", who="reader")
async def extensions(request: Request) -> dict[str, Any]:
    return {"extensions": []}
