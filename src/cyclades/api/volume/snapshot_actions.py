"""POST /snapshots/{snapshot_id}/action: what the snapshot's own project does with it."""

from __future__ import annotations

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import body
from cyclades.api.volume.service import SERVICE
from cyclades.operations import snapshot_reset

_UPDATE_STATUS = body(
    "os-update_snapshot_status",
    {
        "status": {"type": "string", "maxLength": 255},
        "progress": {"type": ["string", "null"], "pattern": "^([0-9]{1,2}|100)%$"},
    },
    required=("status",),
)


@SERVICE.route(
    "POST",
    "/snapshots/{snapshot_id}/action",
    action="os-update_snapshot_status",
    who="member",
    status=202,
    body=_UPDATE_STATUS,
)
async def update_status(request: Request) -> None:
    asked = request.body["os-update_snapshot_status"]
    await request.db.write(
        lambda tx: snapshot_reset.update(
            tx, request.caller, request.ids["snapshot_id"], asked["status"], progress=asked.get("progress")
        )
    )
