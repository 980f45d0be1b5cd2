"""POST /volumes/{volume_id}/action and /snapshots/{snapshot_id}/action: what admins set right by hand."""

from __future__ import annotations

from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, TEXT_OR_NULL, UUID_OR_NULL, Schema, body
from cyclades.api.volume.host_names import pool_of
from cyclades.api.volume.service import SERVICE
from cyclades.model.errors import Invalid
from cyclades.operations import (
    snapshot_purge,
    snapshot_reset,
    volume_force_detach,
    volume_purge,
    volume_reset,
    volume_retype,
)

_VOLUME = "/volumes/{volume_id}/action"
_SNAPSHOT = "/snapshots/{snapshot_id}/action"

_ATTACH_STATUSES = ("attached", "detached")
_RESET = body(
    "os-reset_status", {"status": TEXT_OR_NULL, "attach_status": TEXT_OR_NULL, "migration_status": TEXT_OR_NULL}
)


@SERVICE.route("POST", _VOLUME, action="os-reset_status", who="admin", status=202, body=_RESET)
async def reset_volume(request: Request) -> None:
    asked = {name: value.lower() for name, value in request.body["os-reset_status"].items() if value}
    if not asked:
        raise Invalid("reset-nothing", "Must specify 'status', 'attach_status' or 'migration_status' for update.")
    status, attach_status = asked.get("status"), asked.get("attach_status")
    if attach_status is not None and attach_status not in _ATTACH_STATUSES:
        raise Invalid("reset-attach-status", "Must specify a valid attach status.", field="attach_status")
    if asked.get("migration_status", "none") != "none":
        text = "A volume that moves is moved by an operation, which ends by itself: only 'none' can be set."
        raise Invalid("reset-migration-status", text, field="migration_status")
    await request.db.write(
        lambda tx: volume_reset.start(
            tx, request.caller, request.ids["volume_id"], status=status, attach_status=attach_status
        )
    )


_MIGRATE = body(
    "os-migrate_volume",
    {"host": {"type": "string", "minLength": 1, "maxLength": 255}, "force_host_copy": BOOLEAN, "lock_volume": BOOLEAN},
    required=("host",),
)


@SERVICE.route("POST", _VOLUME, action="os-migrate_volume", who="admin", status=202, body=_MIGRATE)
async def migrate_volume(request: Request) -> None:
    """`force_host_copy` and `lock_volume` choose nothing here: the data is always copied by us, and nothing else is
    done to the volume meanwhile."""
    host = request.body["os-migrate_volume"]["host"]
    pool = pool_of(host)
    if not pool or pool not in request.settings.storage.pools:
        raise Invalid("migrate-host", f"No available service named '{host}'.", field="host")
    await request.db.write(
        lambda tx: volume_retype.to_pool(tx, request.caller, request.settings, request.ids["volume_id"], pool)
    )


_RESET_SNAPSHOT = body("os-reset_status", {"status": {"type": "string", "maxLength": 255}}, required=("status",))


@SERVICE.route("POST", _SNAPSHOT, action="os-reset_status", who="admin", status=202, body=_RESET_SNAPSHOT)
async def reset_snapshot(request: Request) -> None:
    status = request.body["os-reset_status"]["status"].lower()
    await request.db.write(lambda tx: snapshot_reset.start(tx, request.caller, request.ids["snapshot_id"], status))


@SERVICE.route("POST", _VOLUME, action="os-force_delete", who="admin", status=202)
async def force_delete_volume(request: Request) -> None:
    await request.db.write(
        lambda tx: volume_purge.start(tx, request.caller, request.ids["volume_id"], cascade=False, force=True)
    )


@SERVICE.route("POST", _SNAPSHOT, action="os-force_delete", who="admin", status=202)
async def force_delete_snapshot(request: Request) -> None:
    await request.db.write(lambda tx: snapshot_purge.start(tx, request.caller, request.ids["snapshot_id"]))


_FORCE_DETACH: Schema = body(
    "os-force_detach", {"attachment_id": UUID_OR_NULL, "connector": {"type": ["string", "object", "null"]}}
)


@SERVICE.route("POST", _VOLUME, action="os-force_detach", who="admin", status=202, body=_FORCE_DETACH)
async def force_detach(request: Request) -> None:
    attachment_id = request.body["os-force_detach"].get("attachment_id")
    await request.db.write(
        lambda tx: volume_force_detach.start(
            tx, request.caller, request.ids["volume_id"], attachment_id.lower() if attachment_id else None
        )
    )
