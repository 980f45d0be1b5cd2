"""/v2/images/{image_id}/actions: out of use and back."""

from __future__ import annotations

from cyclades.api.http.request import Request
from cyclades.api.image.service import SERVICE
from cyclades.operations import image_update


@SERVICE.route("POST", "/v2/images/{image_id}/actions/deactivate", who="member", status=204)
async def deactivate(request: Request) -> None:
    image_id = request.ids["image_id"]
    await request.db.write(lambda tx: image_update.set_usable(tx, request.caller, image_id, usable=False))


@SERVICE.route("POST", "/v2/images/{image_id}/actions/reactivate", who="member", status=204)
async def reactivate(request: Request) -> None:
    image_id = request.ids["image_id"]
    await request.db.write(lambda tx: image_update.set_usable(tx, request.caller, image_id, usable=True))
