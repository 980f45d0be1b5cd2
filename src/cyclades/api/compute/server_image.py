"""POST /servers/{id}/action, createImage"""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import since
from cyclades.api.compute.schemas import METADATA, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import NAME_NOT_EMPTY, Schema
from cyclades.api.http.service import Answer
from cyclades.operations import server_image
from cyclades.store.database import Tx

_BODY: Schema = closed({"createImage": closed({"name": NAME_NOT_EMPTY, "metadata": METADATA}, "name")}, "createImage")


@SERVICE.route("POST", "/servers/{server_id}/action", who="member", status=202, action="createImage", body=_BODY)
async def create(request: Request) -> Answer:
    asked = request.body["createImage"]
    caller, settings, server_id = request.caller, request.settings, request.ids["server_id"]
    name, properties = asked["name"].strip(), asked.get("metadata", {})

    def accept(tx: Tx) -> dict[str, Any]:
        return {"image_id": server_image.start(tx, caller, settings, server_id, name=name, properties=properties)}

    view = await request.create(accept)
    if request.version >= since.IMAGE_ID_ANSWERED:
        return Answer(202, view)
    return Answer(202, headers={"Location": f"{settings.public_url}/image/v2/images/{view['image_id']}"})
