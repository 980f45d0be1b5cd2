"""The pools, as engines last found them: /scheduler-stats/get_pools, and what each can do: /capabilities."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades import __version__
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema, shape
from cyclades.api.http.times import micros
from cyclades.api.volume import filters, shapes, since
from cyclades.api.volume.filters import Filter
from cyclades.api.volume.host_names import backend_of, host_of, pool_of
from cyclades.api.volume.service import SERVICE
from cyclades.model import capabilities
from cyclades.model.errors import Invalid, NotFound
from cyclades.model.presence import is_up
from cyclades.model.units import GIB
from cyclades.store import pools, volume_types
from cyclades.store.database import Tx
from cyclades.store.schema import now, pool

# What a volume type's extra specs may say about its pool.
_PROPERTIES = {
    capabilities.POOL_SPEC: {
        "title": "Pool",
        "description": "The pool that a type's disks lie in.",
        "type": "string",
    },
    capabilities.TEMPLATE_SPEC: {
        "title": "Disk template",
        "description": "How a type's disks are kept; 'ext' in a pool.",
        "type": "string",
    },
    capabilities.PROVIDER_SPEC: {
        "title": "Provider",
        "description": "Who keeps the disks of template 'ext'; 'cyclades' in a pool.",
        "type": "string",
    },
}


def _named(_: Request, text: str) -> sa.ColumnElement[bool]:
    return pool.c.name == (pool_of(text) or "")


def _serves(tx: Tx, request: Request, row: Row[Any]) -> bool:
    """Whether volumes of the type that the request names lie in the pool."""
    name = request.one("volume_type")
    if not name or request.version < since.POOL_TYPE_FILTER:
        return True
    specs = volume_types.find(tx, name, None).extra_specs
    kind = capabilities.kind_of(specs, request.settings.storage)
    return bool(kind.pool == row.name)


_FILTERS = filters.table(
    "pool",
    {
        "name": Filter(_named, since.POOL_NAME_FILTER),
        "volume_type": Filter(lambda _request, _text: sa.true(), since.POOL_TYPE_FILTER),
    },
)


_GIB: Schema = {"type": "number", "minimum": 0}
_SHOWN = shape(
    {
        "volume_backend_name": shapes.TEXT,
        "pool_name": shapes.TEXT,
        "vendor_name": shapes.TEXT,
        "driver_version": shapes.TEXT,
        "storage_protocol": shapes.TEXT,
        "total_capacity_gb": _GIB,
        "free_capacity_gb": _GIB,
        "allocated_capacity_gb": _GIB,
        "provisioned_capacity_gb": _GIB,
        "reserved_percentage": {"const": 0},
        "thin_provisioning_support": {"const": True},
        "thick_provisioning_support": {"const": False},
        "multiattach": shapes.TRUTH,
        "online_extend_support": {"const": True},
        "QoS_support": {"const": False},
        "replication_enabled": {"const": False},
        "backend_state": {"enum": ["up", "down"]},
        "timestamp": shapes.TIME,
        "updated": shapes.TIME,
    }
)
_POOL = shape({"name": shapes.TEXT, "capabilities": _SHOWN}, optional=("capabilities",))
_QUERY = {"detail": filters.TRUTH} | filters.parameters(_FILTERS, projects=False)


@SERVICE.route("GET", "/scheduler-stats/get_pools", who="admin", answer=shapes.page("pools", _POOL), query=_QUERY)
async def every(request: Request) -> dict[str, Any]:
    detail = request.flag("detail")
    unknown = sorted(set(request.query) - {"detail"} - set(_FILTERS))
    if unknown and request.version >= since.UNKNOWN_FILTERS_REFUSED:
        text = f"Invalid filters {','.join(unknown)} are found in query options."
        raise Invalid("filter", text, field=unknown[0])
    ours = request.settings.storage.pools

    def read(tx: Tx) -> list[Row[Any]]:
        found = sa.select(pool).where(pool.c.name.in_(ours)).order_by(pool.c.name)
        found = filters.narrowed(request, found, _FILTERS, besides={"detail", *unknown})
        return [row for row in tx.execute(found) if _serves(tx, request, row)]

    rows = await request.db.read(read)
    return {
        "pools": [
            {"name": host_of(row.name), "capabilities": _capabilities(request, row)}
            if detail
            else {"name": host_of(row.name)}
            for row in rows
        ]
    }


def _capabilities(request: Request, row: Row[Any]) -> dict[str, Any]:
    can = capabilities.of_pool(row.name, request.settings.storage)
    seen = micros(row.seen_at)
    return {
        "volume_backend_name": row.name,
        "pool_name": row.name,
        "vendor_name": capabilities.VENDOR,
        "driver_version": __version__,
        "storage_protocol": row.engine,
        "total_capacity_gb": _gib(row.total),
        "free_capacity_gb": _gib(row.free),
        "allocated_capacity_gb": _gib(row.promised),
        "provisioned_capacity_gb": _gib(row.promised),
        "reserved_percentage": 0,
        "thin_provisioning_support": True,
        "thick_provisioning_support": False,
        "multiattach": can.multiattach,
        "online_extend_support": True,
        "QoS_support": False,
        "replication_enabled": False,
        "backend_state": "up" if is_up(row.seen_at, now()) else "down",
        "timestamp": seen,
        "updated": seen,
    }


def _gib(size: int) -> float:
    return round(size / GIB, 2)


_PROPERTY = shape({"title": shapes.TEXT, "description": shapes.TEXT, "type": shapes.TEXT})
_HOST = shape(
    {
        "namespace": shapes.TEXT,
        "vendor_name": shapes.TEXT,
        "volume_backend_name": shapes.TEXT,
        "pool_name": shapes.TEXT,
        "driver_version": shapes.TEXT,
        "storage_protocol": shapes.TEXT,
        "display_name": shapes.NULL,
        "description": shapes.NULL,
        "visibility": {"const": "public"},
        "replication_targets": {"type": "array", "maxItems": 0},
        "properties": shape(dict.fromkeys(_PROPERTIES, _PROPERTY)),
    }
)


@SERVICE.route("GET", "/capabilities/{host}", who="admin", answer=_HOST)
async def show(request: Request) -> dict[str, Any]:
    """By `host@backend`, also with `#pool`; the host alone is its first pool."""
    host = request.ids["host"]
    wanted, ours = pool_of(host), request.settings.storage.pools
    rows = await request.db.read(lambda tx: pools.every(tx, ours))
    row = next((row for row in rows if wanted in ("", row.name)), None)
    if row is None:
        raise NotFound("service", host)
    return {
        "namespace": f"OS::Storage::Capabilities::{backend_of(row.name)}",
        "vendor_name": capabilities.VENDOR,
        "volume_backend_name": row.name,
        "pool_name": row.name,
        "driver_version": __version__,
        "storage_protocol": row.engine,
        "display_name": None,
        "description": None,
        "visibility": "public",
        "replication_targets": [],
        "properties": _PROPERTIES,
    }
