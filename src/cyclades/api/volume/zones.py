"""/os-availability-zone"""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import shape
from cyclades.api.volume import shapes
from cyclades.api.volume.service import SERVICE
from cyclades.store import pools

_ZONE = shape({"zoneName": shapes.TEXT, "zoneState": shapes.one("available", shapes.TRUTH)})


@SERVICE.route("GET", "/os-availability-zone", who="reader", answer=shapes.page("availabilityZoneInfo", _ZONE))
async def every(request: Request) -> dict[str, Any]:
    """The one zone; volumes can be made there unless an operator has disabled every pool."""
    names = request.settings.storage.pools
    rows = await request.db.read(lambda tx: pools.every(tx, names))
    available = len([row for row in rows if not row.enabled]) < len(names)
    zone = request.settings.api.availability_zone
    return {"availabilityZoneInfo": [{"zoneName": zone, "zoneState": {"available": available}}]}
