"""Volumes, snapshots and types as Cinder's clients see them. Closed schemas: not one key more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.http.times import micros
from cyclades.api.volume import since
from cyclades.api.volume.host_names import host_of
from cyclades.model.capabilities import USER_VISIBLE_SPECS
from cyclades.model.status import SNAPSHOT_ERROR, VOLUME_ERROR


def links(request: Request, path: str) -> list[dict[str, str]]:
    """To what is at `path` of this service."""
    cloud, project = request.settings.public_url, request.project_in_url or request.caller.project_id
    return [
        {"rel": "self", "href": f"{cloud}{request.service.prefix}/{project}{path}"},
        {"rel": "bookmark", "href": f"{cloud}/volume/{project}{path}"},
    ]


def volume_links(request: Request, volume_id: str) -> list[dict[str, str]]:
    return links(request, f"/volumes/{volume_id}")


def volume_brief(request: Request, row: Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": volume_links(request, row.id)}


def attachments(request: Request, rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    """Those that are made: one that is being made or was reserved does not show yet."""
    sees_hosts = request.caller.sees_hosts
    return [
        {
            "id": row.volume_id,
            "attachment_id": row.id,
            "volume_id": row.volume_id,
            "server_id": row.server_id or row.instance_id,
            "host_name": row.host_name if sees_hosts else None,
            "device": row.device,
            "attached_at": micros(row.attached_at),
        }
        for row in rows
        if row.status in ("attached", "detaching")
    ]


def _metadata(row: Row[Any]) -> dict[str, str]:
    """Cinder shows a flag that was once set among what the user wrote."""
    return row.metadata if row.readonly is None else {**row.metadata, "readonly": str(row.readonly)}


def volume(
    request: Request, row: Row[Any], type_name: str | None, attached: Iterable[Row[Any]], *, changed: bool = False
) -> dict[str, Any]:
    """`changed`: as POST and PUT answer, without what Cinder's extensions add to shown volumes alone."""
    version = request.version
    admin = request.caller.is_admin
    view: dict[str, Any] = {
        "id": row.id,
        "status": row.status,
        "size": row.size,
        "availability_zone": row.availability_zone,
        "created_at": micros(row.created_at),
        "updated_at": micros(row.updated_at),
        "attachments": attachments(request, attached),
        "name": row.name,
        "description": row.description,
        "volume_type": type_name,
        "snapshot_id": row.snapshot_id,
        "source_volid": row.source_volid,
        "metadata": _metadata(row),
        "links": volume_links(request, row.id),
        "user_id": row.user_id,
        "bootable": "true" if row.bootable else "false",
        "encrypted": False,
        "replication_status": None,
        "consistencygroup_id": None,
        "multiattach": row.multiattach,
    }
    if not changed:
        view |= _extended(row, admin=admin)
    if admin:
        view["migration_status"] = row.migration_status
    if version >= since.VOLUME_GROUP_ID:
        view["group_id"] = None
    if version >= since.VOLUME_PROVIDER_ID and admin:
        view["provider_id"] = None
    if version >= since.VOLUME_SHARED_TARGETS:
        view["shared_targets"] = None if version >= since.SHARED_TARGETS_MAY_BE_NULL else False
        view["service_uuid"] = None
    if version >= since.VOLUME_CLUSTER_NAME and admin:
        view["cluster_name"] = None
    if version >= since.VOLUME_TYPE_ID:
        view["volume_type_id"] = row.volume_type_id
    if version >= since.CONSUMES_QUOTA:
        view["consumes_quota"] = row.consumes_quota
    if row.status in VOLUME_ERROR and row.reason:
        view["cyclades:reason"] = row.reason
    return view


def _extended(row: Row[Any], *, admin: bool) -> dict[str, Any]:
    view: dict[str, Any] = {"os-vol-tenant-attr:tenant_id": row.project_id}
    if row.image_metadata:
        view["volume_image_metadata"] = row.image_metadata
    if admin:
        view["os-vol-host-attr:host"] = host_of(row.pool)
        view["os-vol-mig-status-attr:migstat"] = row.migration_status
        view["os-vol-mig-status-attr:name_id"] = None
    return view


def _progress(row: Row[Any]) -> str:
    return row.progress or ("0%" if row.status == "creating" else "100%")


def snapshot_brief(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "status": row.status,
        "size": row.size,
        "volume_id": row.volume_id,
        "created_at": micros(row.created_at),
        "updated_at": micros(row.updated_at),
        "metadata": row.metadata,
    }


def snapshot(request: Request, row: Row[Any], *, changed: bool = False) -> dict[str, Any]:
    """`changed`: as POST and PUT answer, without what Cinder's extensions add to shown snapshots alone."""
    view = snapshot_brief(row)
    if not changed:
        view["os-extended-snapshot-attributes:progress"] = _progress(row)
        view["os-extended-snapshot-attributes:project_id"] = row.project_id
    if request.version >= since.SNAPSHOT_GROUP_SNAPSHOT_ID:
        view["group_snapshot_id"] = None
    if request.version >= since.SNAPSHOT_USER_ID:
        view["user_id"] = row.user_id
    if request.version >= since.CONSUMES_QUOTA:
        view["consumes_quota"] = True
    if row.status in SNAPSHOT_ERROR and row.reason:
        view["cyclades:reason"] = row.reason
    return view


def volume_type(request: Request, row: Row[Any]) -> dict[str, Any]:
    """As PUT answers; POST and GET add to it."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "is_public": row.is_public,
        "extra_specs": visible_specs(request, row.extra_specs),
    }


def visible_specs(request: Request, specs: dict[str, str]) -> dict[str, str]:
    """Those that the caller may see."""
    return specs if request.caller.is_admin else {key: specs[key] for key in USER_VISIBLE_SPECS if key in specs}
