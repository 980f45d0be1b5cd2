"""/os-availability-zone"""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.volume.service import SERVICE


@SERVICE.route("GET", "/os-availability-zone", who="reader")
async def every(request: Request) -> dict[str, Any]:
    zone = request.settings.api.availability_zone
    return {"availabilityZoneInfo": [{"zoneName": zone, "zoneState": {"available": True}}]}
