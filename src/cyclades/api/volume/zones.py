"""/os-availability-zone"""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.volume.service import SERVICE
from cyclades.store import pools


@SERVICE.route("GET", "/os-availability-zone", who="reader")
async def every(request: Request) -> dict[str, Any]:
    """The one zone; volumes can be made there unless an operator has disabled every pool."""
    names = request.settings.pool_engines
    rows = await request.db.read(lambda tx: pools.every(tx, names))
    available = len([row for row in rows if not row.enabled]) < len(names)
    zone = request.settings.api.availability_zone
    return {"availabilityZoneInfo": [{"zoneName": zone, "zoneState": {"available": available}}]}
