"""POST /volumes/{volume_id}/action: what the volume's own project does with it."""

from __future__ import annotations

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, WHOLE, body, is_true
from cyclades.api.volume import since
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid
from cyclades.operations import volume_extend, volume_move
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


_READONLY = body("os-update_readonly_flag", {"readonly": BOOLEAN}, required=("readonly",))


@SERVICE.route("POST", _PATH, action="os-update_readonly_flag", who="member", status=202, body=_READONLY)
async def update_readonly_flag(request: Request) -> None:
    """Holds from the next attachment on, so it is for volumes that have none."""
    readonly = is_true(request.body["os-update_readonly_flag"]["readonly"])

    def change(tx: Tx) -> None:
        row = volumes.get(tx, request.ids["volume_id"], request.caller.scope)
        volumes.begin(tx, row, "write_protect", status="available", op_id=None, readonly=readonly)

    await request.db.write(change)


# Synnefo's.
_REASSIGN = body(
    "reassign",
    {"project": {"type": "string", "minLength": 1, "maxLength": 64}, "shared_to_project": BOOLEAN},
    required=("project",),
)


@SERVICE.route("POST", _PATH, action="reassign", who="member", body=_REASSIGN)
async def reassign(request: Request) -> None:
    asked = request.body["reassign"]
    if not is_true(asked.get("shared_to_project", True)):
        raise Invalid(
            "reassign-shared",
            "What a project has, all its members share: it can only be true.",
            field="shared_to_project",
        )
    await request.db.write(
        lambda tx: volume_move.reassign(
            tx, request.caller, request.settings, request.ids["volume_id"], asked["project"]
        )
    )
