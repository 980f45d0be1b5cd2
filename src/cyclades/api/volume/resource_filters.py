"""/resource_filters: by what each list can be filtered."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.volume import since
from cyclades.api.volume.filters import TABLES
from cyclades.api.volume.service import SERVICE


@SERVICE.route("GET", "/resource_filters", who="reader", since=str(since.RESOURCE_FILTERS))
async def every(request: Request) -> dict[str, Any]:
    wanted = request.one("resource")
    found = [
        {
            "resource": resource,
            "filters": [n for n, one in table.items() if not one.admins and request.version >= one.since],
        }
        for resource, table in sorted(TABLES.items())
        if wanted in (None, resource)
    ]
    return {"resource_filters": found}
