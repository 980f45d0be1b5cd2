"""What a project may have and has, and what all projects may have by default: quota sets, the quota class, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema, shape
from cyclades.api.volume import filters, shapes, since
from cyclades.api.volume.service import SERVICE
from cyclades.config import UNLIMITED
from cyclades.model import quota
from cyclades.model.errors import Invalid, NotFound
from cyclades.store import projects, quotas, volume_types
from cyclades.store.database import Tx

_NAMES = (quota.VOLUMES, quota.GIGABYTES, quota.SNAPSHOTS, quota.PER_VOLUME, *quota.NOT_YET)


def _resources(tx: Tx) -> dict[str, str]:
    """Cinder's name of each quota → ours, in which a volume type has its id."""
    found = {name: name for name in _NAMES}
    for type_id, type_name in volume_types.living_names(tx).items():
        found |= {f"{name}_{type_name}": quota.per_type(name, type_id) for name in quota.PER_TYPE}
    return found


def _shown(tx: Tx, limits: Mapping[str, int]) -> dict[str, int]:
    return {name: limits.get(resource, UNLIMITED) for name, resource in _resources(tx).items()}


def _limits(tx: Tx, request: Request, project_id: str) -> dict[str, int]:
    return _shown(tx, quotas.limits(tx, request.settings.quotas, project_id))


_LIMIT: Schema = {"type": "integer", "minimum": -1}
_ABSOLUTE = shape(
    {
        "maxTotalVolumes": _LIMIT,
        "maxTotalSnapshots": _LIMIT,
        "maxTotalVolumeGigabytes": _LIMIT,
        "maxTotalBackups": _LIMIT,
        "maxTotalBackupGigabytes": _LIMIT,
        "totalVolumesUsed": shapes.COUNT,
        "totalSnapshotsUsed": shapes.COUNT,
        "totalGigabytesUsed": shapes.COUNT,
        "totalBackupsUsed": {"const": 0},
        "totalBackupGigabytesUsed": {"const": 0},
    }
)
_LIMITS = shape({"rate": {"type": "array", "maxItems": 0}, "absolute": _ABSOLUTE})


@SERVICE.route(
    "GET",
    "/limits",
    who="reader",
    answer=shapes.one("limits", _LIMITS),
    query={"project_id": filters.TEXT, "tenant_id": filters.TEXT},
)
async def limits(request: Request) -> dict[str, Any]:
    project_id = request.caller.project_id
    if request.caller.is_admin and request.version >= since.LIMITS_OF_A_PROJECT:
        project_id = request.one("project_id") or request.one("tenant_id") or project_id

    def read(tx: Tx) -> dict[str, Any]:
        most = quotas.limits(tx, request.settings.quotas, project_id)
        used = quotas.usage(tx, project_id)
        return {
            "maxTotalVolumes": most[quota.VOLUMES],
            "maxTotalSnapshots": most[quota.SNAPSHOTS],
            "maxTotalVolumeGigabytes": most[quota.GIGABYTES],
            "maxTotalBackups": most["backups"],
            "maxTotalBackupGigabytes": most["backup_gigabytes"],
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


def _quotas(key: str, value: Schema, **more: Schema) -> Schema:
    """Those of Cinder's names, those of each volume type, and `more`."""
    types = {f"^({'|'.join(quota.PER_TYPE)})_": value}
    return shapes.one(key, shape(dict.fromkeys(_NAMES, value) | more) | {"patternProperties": types})


_USED = shape({"limit": _LIMIT, "in_use": shapes.COUNT, "reserved": {"const": 0}})
_SET = _quotas("quota_set", _LIMIT, id=shapes.OWNER)
_SET_OR_USED = {"anyOf": [_SET, _quotas("quota_set", _USED, id=shapes.OWNER)]}


@SERVICE.route("GET", "/os-quota-sets/{project_id}", who="reader", answer=_SET_OR_USED, query={"usage": filters.TRUTH})
async def show(request: Request) -> dict[str, Any]:
    with_usage = request.flag("usage")

    def read(tx: Tx) -> dict[str, Any]:
        project_id = _project(tx, request)
        most = _limits(tx, request, project_id)
        if not with_usage:
            return {"id": project_id, **most}
        used, resources = quotas.usage(tx, project_id), _resources(tx)
        rows = {
            name: {"limit": limit, "in_use": used.get(resources[name], 0), "reserved": 0}
            for name, limit in most.items()
        }
        return {"id": project_id, **rows}

    return {"quota_set": await request.db.read(read)}


@SERVICE.route("GET", "/os-quota-sets/{project_id}/defaults", who="reader", answer=_SET)
async def show_defaults(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        project_id = _project(tx, request)
        return {"id": project_id, **_shown(tx, quotas.defaults(tx, request.settings.quotas))}

    return {"quota_set": await request.db.read(read)}


_ASKED: Schema = {"type": ["integer", "string"], "pattern": "^(-1|[0-9]{1,9})$", "minimum": -1, "maximum": 2**31 - 1}


def _body(key: str, properties: Schema) -> Schema:
    inner: Schema = {"type": "object", "minProperties": 1, "maxProperties": 1000, "properties": properties}
    inner["additionalProperties"] = _ASKED
    return {"type": "object", "properties": {key: inner}, "required": [key], "additionalProperties": False}


# What clients send beside the limits.
_NO_LIMITS: Schema = {name: {"type": ["string", "null"], "maxLength": 64} for name in ("tenant_id", "id")}


def _asked(tx: Tx, request: Request, key: str) -> dict[str, tuple[str, int]]:
    """Cinder's name of each quota → ours, and the limit it is to have."""
    resources = _resources(tx)
    asked = {name: value for name, value in request.body[key].items() if name not in _NO_LIMITS}
    unknown = sorted(name for name in asked if name not in resources)
    if unknown:
        raise Invalid("quota-resource", f"Bad key(s) in quota set: {', '.join(unknown)}", field=unknown[0])
    return {name: (resources[name], int(limit)) for name, limit in asked.items()}


@SERVICE.route(
    "PUT",
    "/os-quota-sets/{project_id}",
    who="admin",
    body=_body("quota_set", _NO_LIMITS),
    answer=_quotas("quota_set", _LIMIT),
    query={"skip_validation": filters.TRUTH},
)
async def update(request: Request) -> dict[str, Any]:
    below_usage = request.flag("skip_validation")

    def change(tx: Tx) -> dict[str, Any]:
        project_id = _project(tx, request)
        used = {} if below_usage else quotas.usage(tx, project_id)
        for name, (resource, limit) in _asked(tx, request, "quota_set").items():
            if 0 <= limit < used.get(resource, 0):
                raise Invalid(
                    "quota-below-usage",
                    f"Quota {name} limit must be equal or greater than existing resources. Current usage is "
                    f"{used[resource]} and the requested limit is {limit}.",
                    field=name,
                )
            quotas.set_limit(tx, project_id, resource, limit)
        return _limits(tx, request, project_id)

    return {"quota_set": await request.db.write(change)}


@SERVICE.route("DELETE", "/os-quota-sets/{project_id}", who="admin")
async def forget(request: Request) -> None:
    """Also of a project that is no more."""

    def change(tx: Tx) -> None:
        quotas.forget_limits(tx, request.ids["project_id"], _resources(tx).values())

    await request.db.write(change)


def _check_class(request: Request) -> None:
    name = request.ids["class_name"]
    if name != quotas.DEFAULT_CLASS:
        raise NotFound("quota-class", name)


_CLASS = _quotas("quota_class_set", _LIMIT, id={"const": quotas.DEFAULT_CLASS})


@SERVICE.route("GET", "/os-quota-class-sets/{class_name}", who="admin", answer=_CLASS)
async def show_class(request: Request) -> dict[str, Any]:
    _check_class(request)
    most = await request.db.read(lambda tx: _shown(tx, quotas.defaults(tx, request.settings.quotas)))
    return {"quota_class_set": {"id": quotas.DEFAULT_CLASS, **most}}


@SERVICE.route(
    "PUT",
    "/os-quota-class-sets/{class_name}",
    who="admin",
    body=_body("quota_class_set", {}),
    answer=_quotas("quota_class_set", _LIMIT),
)
async def update_class(request: Request) -> dict[str, Any]:
    _check_class(request)

    def change(tx: Tx) -> dict[str, Any]:
        for resource, limit in _asked(tx, request, "quota_class_set").values():
            quotas.set_class_limit(tx, resource, limit)
        return _shown(tx, quotas.defaults(tx, request.settings.quotas))

    return {"quota_class_set": await request.db.write(change)}
