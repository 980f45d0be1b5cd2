"""POST /volumes/{volume_id}/action"""

from __future__ import annotations

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, WHOLE, body, is_true
from cyclades.api.volume import since
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid
from cyclades.operations import volume_extend
from cyclades.store import volumes
from cyclades.store.database import Tx

_PATH = "/volumes/{volume_id}/action"

_EXTEND = body("os-extend", {"new_size": {**WHOLE, "minimum": 1}}, required=("new_size",))


@SERVICE.route("POST", _PATH, action="os-extend", who="member", status=202, body=_EXTEND)
async def extend(request: Request) -> None:
    new_size = int(request.body["os-extend"]["new_size"])

    def accept(tx: Tx) -> None:
        row = volumes.get(tx, request.ids["volume_id"], request.caller.scope)
        if row.status == "in-use" and request.version < since.EXTEND_IN_USE:
            raise Invalid(
                "extend-in-use",
                f"A volume in use is extended from microversion {since.EXTEND_IN_USE} on; detach it, or ask with that.",
            )
        volume_extend.start(tx, request.caller, request.settings, row.id, new_size)

    await request.db.write(accept)


_SET_BOOTABLE = body("os-set_bootable", {"bootable": BOOLEAN}, required=("bootable",))


@SERVICE.route("POST", _PATH, action="os-set_bootable", who="member", status=200, body=_SET_BOOTABLE)
async def set_bootable(request: Request) -> None:
    bootable = is_true(request.body["os-set_bootable"]["bootable"])

    def change(tx: Tx) -> None:
        row = volumes.get(tx, request.ids["volume_id"], request.caller.scope)
        volumes.change(tx, row.id, bootable=bootable)

    await request.db.write(change)
