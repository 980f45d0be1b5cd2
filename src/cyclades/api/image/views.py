"""Images as Glance's clients see them: attributes and properties side by side."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.http.times import seconds
from cyclades.model.images import HASH


def image(row: Row[Any]) -> dict[str, Any]:
    """Links are paths below the service, as Glance gives them."""
    return {
        **row.properties,
        "name": row.name,
        "disk_format": row.disk_format,
        "container_format": row.container_format,
        "visibility": row.visibility,
        "size": row.size,
        "virtual_size": row.virtual_size,
        "status": row.status,
        "checksum": row.checksum,
        "protected": row.protected,
        "min_ram": row.min_ram,
        "min_disk": row.min_disk,
        "owner": row.project_id,
        "os_hidden": row.hidden,
        "os_hash_algo": HASH if row.os_hash_value else None,
        "os_hash_value": row.os_hash_value,
        "id": row.id,
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at or row.created_at),
        "tags": row.tags,
        "self": f"/v2/images/{row.id}",
        "file": f"/v2/images/{row.id}/file",
        "schema": "/v2/schemas/image",
    }


def member(row: Row[Any]) -> dict[str, Any]:
    return {
        "image_id": row.image_id,
        "member_id": row.project_id,
        "status": row.status,
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at),
        "schema": "/v2/schemas/member",
    }
