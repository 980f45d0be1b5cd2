"""By what a list of snapshots is filtered and sorted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cyclades.api.http.request import Request, boolean
from cyclades.api.http.versions import Version
from cyclades.api.volume import filters, since
from cyclades.api.volume.filters import Filter, Where
from cyclades.store import snapshots
from cyclades.store.schema import snapshot, volume

_COLUMNS = ("id", "description", "status", "size", "volume_id", "project_id", "user_id", "created_at", "updated_at")
# Cinder's name → the column.
_SORTABLE = {
    **{name: name for name in _COLUMNS},
    "display_name": "name",
    "display_description": "description",
    "volume_size": "size",
}


def sortable(version: Version) -> dict[str, str]:
    return _SORTABLE | ({"name": "name"} if version >= since.SNAPSHOT_SORT_BY_NAME else {})


def _of_volume(condition: Where) -> Where:
    """A condition on a snapshot's volume."""

    def where(request: Request, text: str) -> sa.ColumnElement[bool]:
        return snapshot.c.volume_id.in_(sa.select(volume.c.id).where(condition(request, text)))

    return where


def _consumes_quota(_: Request, text: str) -> sa.ColumnElement[bool]:
    return sa.true() if boolean("consumes_quota", text) else sa.false()


FILTERS = filters.table(
    "snapshot",
    {
        "name": Filter(filters.equal(snapshot.c.name)),
        "name~": Filter(filters.like(snapshot.c.name), since.NAME_FILTER_LIKE),
        "status": Filter(filters.equal(snapshot.c.status)),
        "volume_id": Filter(filters.equal(snapshot.c.volume_id)),
        "metadata": Filter(
            filters.items(snapshot.c.metadata, "metadata"), since.SNAPSHOT_METADATA_FILTER, value=filters.ITEMS
        ),
        "availability_zone": Filter(_of_volume(filters.equal(volume.c.availability_zone))),
        "consumes_quota": Filter(_consumes_quota, since.CONSUMES_QUOTA, value=filters.TRUTH),
        **{name: Filter(filters.equal(snapshot.c[name]), admins=True) for name in ("id", "project_id", "user_id")},
        "display_name": Filter(filters.equal(snapshot.c.name), admins=True),
        "description~": Filter(filters.like(snapshot.c.description), since.NAME_FILTER_LIKE, admins=True),
        "volume_size": Filter(filters.whole(snapshot.c.size, "volume_size"), admins=True, value=filters.WHOLE),
        "host": Filter(_of_volume(filters.in_pool(volume.c.pool)), admins=True),
    },
)


def found(request: Request) -> sa.Select[Any]:
    """The snapshots that a request asks for."""
    return filters.narrowed(request, snapshots.query(filters.scope(request)), FILTERS)
