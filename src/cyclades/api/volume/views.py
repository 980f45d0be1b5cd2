"""Volumes, snapshots and types as Cinder's clients see them. Closed schemas: not one key more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

from cyclades.api.http.request import Request
from cyclades.api.http.times import micros
from cyclades.api.volume import since
from cyclades.model.status import SNAPSHOT_ERROR, VOLUME_ERROR


def volume_links(request: Request, volume_id: str) -> list[dict[str, str]]:
    base = request.settings.public_url + request.service.prefix
    project = request.project_in_url or request.caller.project_id
    bare = f"{request.settings.public_url}/volume/{project}"
    return [
        {"rel": "self", "href": f"{base}/{project}/volumes/{volume_id}"},
        {"rel": "bookmark", "href": f"{bare}/volumes/{volume_id}"},
    ]


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
        "metadata": row.metadata,
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
        view["migration_status"] = None
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
        view["os-vol-host-attr:host"] = f"cyclades@{row.pool}#{row.pool}"
        view["os-vol-mig-status-attr:migstat"] = None
        view["os-vol-mig-status-attr:name_id"] = None
    return view


def snapshot(request: Request, row: Row[Any], *, detail: bool) -> dict[str, Any]:
    view: dict[str, Any] = {
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
    if detail:
        view["os-extended-snapshot-attributes:progress"] = "0%" if row.status == "creating" else "100%"
        view["os-extended-snapshot-attributes:project_id"] = row.project_id
    if request.version >= since.VOLUME_GROUP_ID and detail:
        view["group_snapshot_id"] = None
    if request.version >= since.SNAPSHOT_USER_ID:
        view["user_id"] = row.user_id
    if request.version >= since.CONSUMES_QUOTA:
        view["consumes_quota"] = True
    if row.status in SNAPSHOT_ERROR and row.reason:
        view["cyclades:reason"] = row.reason
    return view


def volume_type(request: Request, row: Row[Any]) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "is_public": row.is_public,
        "extra_specs": row.extra_specs,
    }
    if request.caller.is_admin:
        view["qos_specs_id"] = None
    view["os-volume-type-access:is_public"] = row.is_public
    return view
