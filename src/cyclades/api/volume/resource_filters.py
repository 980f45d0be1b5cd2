"""/resource_filters: by what each list can be filtered."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import shape
from cyclades.api.volume import filters, shapes, since
from cyclades.api.volume.service import SERVICE

_ONE = shape({"resource": shapes.TEXT, "filters": shapes.each(shapes.TEXT)})


@SERVICE.route(
    "GET",
    "/resource_filters",
    who="reader",
    since=str(since.RESOURCE_FILTERS),
    answer=shapes.page("resource_filters", _ONE),
    query={"resource": filters.TEXT},
)
async def every(request: Request) -> dict[str, Any]:
    wanted = request.one("resource")
    found = [
        {
            "resource": resource,
            "filters": [n for n, one in table.items() if not one.admins and request.version >= one.since],
        }
        for resource, table in sorted(filters.TABLES.items())
        if wanted in (None, resource)
    ]
    return {"resource_filters": found}
