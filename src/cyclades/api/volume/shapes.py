"""What the newest version answers, as the service's document says it: what `views.py` makes, and pieces of the rest.

Shapes are closed, and nothing in them is optional but what only admins see, or only some things have. Those of one
topic alone are beside its routes.
"""

from __future__ import annotations

from collections.abc import Collection

from cyclades.api.http.schemas import UUID, UUID_OR_NULL, Schema, shape
from cyclades.model.attachments import MODES
from cyclades.model.status import (
    SNAPSHOT_ERROR,
    SNAPSHOT_STEADY,
    SNAPSHOT_TRANSITIONAL,
    VOLUME_ERROR,
    VOLUME_STEADY,
    VOLUME_TRANSITIONAL,
)

NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
TRUTH: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
# Of a project or user, which identity names in its own way.
OWNER: Schema = {"type": "string", "minLength": 1}
_MICROSECONDS = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}$"
TIME: Schema = {"type": "string", "pattern": _MICROSECONDS}
TIME_OR_NULL: Schema = {**TIME, "type": ["string", "null"]}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
ITEM: Schema = {**TEXTS, "minProperties": 1, "maxProperties": 1}
HREF: Schema = {"type": "string", "format": "uri"}


def each(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def one(key: str, inner: Schema) -> Schema:
    """`inner` under the one key that Cinder puts it."""
    return shape({key: inner})


def page(key: str, items: Schema, *, links: str | None = None, counted: bool = False) -> Schema:
    """A list under `key`; `links` names the key of the next page, which only a list that goes on has. A counted list
    says how many there are, if asked."""
    optional: Schema = {}
    if links is not None:
        optional[links] = {**each(shape({"rel": {"const": "next"}, "href": HREF})), "minItems": 1, "maxItems": 1}
    if counted:
        optional["count"] = COUNT
    return shape({key: each(items), **optional}, optional=optional)


# How a disk is reached, without who may.
CONNECTION: Schema = {
    "pool": TEXT,
    "name": TEXT,
    "access_mode": {"enum": list(MODES)},
    "encrypted": {"const": False},
    "qos_specs": NULL,
    "cacheable": {"const": False},
}
_REASON: Schema = {"cyclades:reason": TEXT}


def _with_reason(properties: Schema, errors: Collection[str], *, optional: Collection[str] = ()) -> Schema:
    """The shape of what says why it is in error, and only then."""
    in_error = {"properties": {"status": {"enum": sorted(errors)}}}
    found = shape(properties | _REASON, optional=[*optional, *_REASON])
    return found | {"if": {"required": list(_REASON)}, "then": in_error}


LINKS = each(shape({"rel": {"enum": ["self", "bookmark"]}, "href": HREF}))

# --- volumes --------------------------------------------------------------------------------------

VOLUME_BRIEF = shape({"id": UUID, "name": TEXT_OR_NULL, "links": LINKS})
_ATTACHMENT = shape(
    {
        "id": UUID,
        "attachment_id": UUID,
        "volume_id": UUID,
        "server_id": UUID_OR_NULL,
        "host_name": TEXT_OR_NULL,
        "device": TEXT_OR_NULL,
        "attached_at": TIME_OR_NULL,
    }
)
_VOLUME: Schema = {
    "id": UUID,
    "status": {"enum": sorted(VOLUME_STEADY | VOLUME_TRANSITIONAL)},
    "size": COUNT,  # 0 until a disk that is adopted was looked at
    "availability_zone": TEXT,
    "created_at": TIME,
    "updated_at": TIME_OR_NULL,
    "attachments": each(_ATTACHMENT),
    "name": TEXT_OR_NULL,
    "description": TEXT_OR_NULL,
    "volume_type": TEXT,
    "snapshot_id": UUID_OR_NULL,
    "source_volid": UUID_OR_NULL,
    "metadata": TEXTS,
    "links": LINKS,
    "user_id": OWNER,
    "bootable": {"enum": ["true", "false"]},
    "encrypted": {"const": False},
    "replication_status": NULL,
    "consistencygroup_id": NULL,
    "multiattach": TRUTH,
    "group_id": NULL,
    "shared_targets": NULL,
    "service_uuid": NULL,
    "volume_type_id": UUID,
    "consumes_quota": TRUTH,
}
_OF_ADMINS: Schema = {"migration_status": TEXT_OR_NULL, "provider_id": NULL, "cluster_name": NULL}
VOLUME_CHANGED = _with_reason(_VOLUME | _OF_ADMINS, VOLUME_ERROR, optional=_OF_ADMINS)
_EXTENSIONS: Schema = {"volume_image_metadata": {**TEXTS, "minProperties": 1}}
_EXTENSIONS_OF_ADMINS: Schema = {
    "os-vol-host-attr:host": TEXT,
    "os-vol-mig-status-attr:migstat": TEXT_OR_NULL,
    "os-vol-mig-status-attr:name_id": NULL,
}
_MAY_BE_SHOWN = _OF_ADMINS | _EXTENSIONS | _EXTENSIONS_OF_ADMINS
_SHOWN = _VOLUME | {"os-vol-tenant-attr:tenant_id": OWNER} | _MAY_BE_SHOWN
VOLUME = _with_reason(_SHOWN, VOLUME_ERROR, optional=_MAY_BE_SHOWN)

# --- snapshots ------------------------------------------------------------------------------------

_SNAPSHOT_BRIEF: Schema = {
    "id": UUID,
    "name": TEXT_OR_NULL,
    "description": TEXT_OR_NULL,
    "status": {"enum": sorted(SNAPSHOT_STEADY | SNAPSHOT_TRANSITIONAL)},
    "size": {"type": "integer", "minimum": 1},
    "volume_id": UUID,
    "created_at": TIME,
    "updated_at": TIME_OR_NULL,
    "metadata": TEXTS,
}
_SNAPSHOT = _SNAPSHOT_BRIEF | {"group_snapshot_id": NULL, "user_id": OWNER, "consumes_quota": {"const": True}}
SNAPSHOT_BRIEF = shape(_SNAPSHOT_BRIEF)
SNAPSHOT_CHANGED = _with_reason(_SNAPSHOT, SNAPSHOT_ERROR)
SNAPSHOT = _with_reason(
    _SNAPSHOT
    | {
        "os-extended-snapshot-attributes:progress": {"type": "string", "pattern": "^[0-9]{1,3}%$"},
        "os-extended-snapshot-attributes:project_id": OWNER,
    },
    SNAPSHOT_ERROR,
)

# --- types ----------------------------------------------------------------------------------------

_TYPE: Schema = {
    "id": UUID,
    "name": TEXT,
    "description": TEXT_OR_NULL,
    "is_public": TRUTH,
    "extra_specs": TEXTS,
}
TYPE_CHANGED = shape(_TYPE)
TYPE_MADE = shape(_TYPE | {"os-volume-type-access:is_public": TRUTH})
_OF_WRITERS: Schema = {"os-volume-type-access:is_public": TRUTH, "qos_specs_id": NULL}
TYPE = shape(_TYPE | _OF_WRITERS, optional=_OF_WRITERS)
