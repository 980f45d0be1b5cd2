"""By what a list of volumes is filtered and sorted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cyclades.api.http.request import Request, boolean
from cyclades.api.volume import filters, since
from cyclades.api.volume.filters import Filter
from cyclades.store import volumes
from cyclades.store.schema import volume

# Cinder's name → the column.
SORTABLE = {
    **{
        name: name
        for name in ("id", "name", "description", "status", "size", "availability_zone", "bootable", "multiattach",
                     "migration_status", "project_id", "user_id", "volume_type_id", "snapshot_id", "source_volid",
                     "created_at", "updated_at")
    },
    "display_name": "name",
    "display_description": "description",
    "host": "pool",
}  # fmt: skip


def _bootable(request: Request, text: str) -> sa.ColumnElement[bool]:
    if request.version >= since.BOOTABLE_FILTER_STRICT:
        return volume.c.bootable.is_(boolean("bootable", text))
    return volume.c.bootable.is_(text not in ("", "False", "false", "FALSE"))


FILTERS = filters.table(
    "volume",
    {
        "name": Filter(filters.equal(volume.c.name)),
        "name~": Filter(filters.like(volume.c.name), since.NAME_FILTER_LIKE),
        "status": Filter(filters.equal(volume.c.status)),
        "metadata": Filter(filters.items(volume.c.metadata, "metadata"), value=filters.ITEMS),
        "bootable": Filter(_bootable, value=filters.TRUTH),
        "migration_status": Filter(filters.or_none(volume.c.migration_status)),
        "availability_zone": Filter(filters.equal(volume.c.availability_zone)),
        "glance_metadata": Filter(
            filters.items(volume.c.image_metadata, "glance_metadata"),
            since.GLANCE_METADATA_FILTER,
            value=filters.ITEMS,
        ),
        "group_id": Filter(filters.never, since.GROUP_ID_FILTER),
        "size": Filter(filters.whole(volume.c.size, "size"), value=filters.WHOLE),
        "created_at": Filter(
            filters.moments(volume.c.created_at, "created_at"), since.TIME_FILTERS, value=filters.MOMENTS
        ),
        "updated_at": Filter(
            filters.moments(volume.c.updated_at, "updated_at"), since.TIME_FILTERS, value=filters.MOMENTS
        ),
        "consumes_quota": Filter(
            filters.truth(volume.c.consumes_quota, "consumes_quota"), since.CONSUMES_QUOTA, value=filters.TRUTH
        ),
        **{
            name: Filter(filters.equal(volume.c[name]), admins=True)
            for name in ("id", "project_id", "user_id", "volume_type_id", "snapshot_id", "source_volid")
        },
        "display_name": Filter(filters.equal(volume.c.name), admins=True),
        "description~": Filter(filters.like(volume.c.description), since.NAME_FILTER_LIKE, admins=True),
        "multiattach": Filter(filters.truth(volume.c.multiattach, "multiattach"), admins=True, value=filters.TRUTH),
        "host": Filter(filters.in_pool(volume.c.pool), admins=True),
    },
)


def found(request: Request) -> sa.Select[Any]:
    """The volumes that a request asks for."""
    return filters.narrowed(request, volumes.query(filters.scope(request)), FILTERS)
