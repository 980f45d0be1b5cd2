"""The attributes of an image on the wire: which a client may set, their form, and the columns they stand for."""

from __future__ import annotations

from collections.abc import Iterable

from cyclades.api.http.schemas import NAME_OR_NULL, UUID, Schema
from cyclades.model.errors import Forbidden
from cyclades.model.images import CONTAINER_FORMATS, DISK_FORMATS, MOST_TAGS, VISIBILITIES

_TAG: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^\\x00-\\x1f\\x7f]*$"}
_AMOUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
PROPERTY_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^\\x00-\\x1f\\x7f]+$"}

# What a client may set.
WRITABLE: dict[str, Schema] = {
    "name": NAME_OR_NULL,
    "visibility": {"type": "string", "enum": list(VISIBILITIES)},
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "owner": {"type": ["string", "null"], "minLength": 1, "maxLength": 64, "pattern": "^[0-9A-Za-z-]+$"},
    "container_format": {"type": ["string", "null"], "enum": [*CONTAINER_FORMATS, None]},
    "disk_format": {"type": ["string", "null"], "enum": [*DISK_FORMATS, None]},
    "min_disk": _AMOUNT,
    "min_ram": _AMOUNT,
    "tags": {"type": "array", "items": _TAG, "maxItems": MOST_TAGS},
}
# The columns that are named otherwise.
COLUMNS = {"os_hidden": "hidden", "owner": "project_id"}

READ_ONLY: dict[str, Schema] = {
    "status": {
        "type": "string",
        "enum": ["queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete",
                 "deactivated"],
    },
    "size": {"type": ["null", "integer"]},
    "virtual_size": {"type": ["null", "integer"]},
    "checksum": {"type": ["null", "string"], "maxLength": 32},
    "os_hash_algo": {"type": ["null", "string"], "maxLength": 64},
    "os_hash_value": {"type": ["null", "string"], "maxLength": 128},
    "created_at": {"type": "string"},
    "updated_at": {"type": "string"},
    "direct_url": {"type": "string"},
    "self": {"type": "string"},
    "file": {"type": "string"},
    "schema": {"type": "string"},
}  # fmt: skip
# Names that no property may have: older clients take them for something else.
RESERVED = ("location", "locations", "deleted", "deleted_at", "stores", "is_public")
_RESERVED_BEGINNING = "os_glance"  # Glance keeps what it does there itself

CREATE: Schema = {
    "type": "object",
    "properties": {"id": UUID, **WRITABLE, **{name: {} for name in (*READ_ONLY, *RESERVED)}},
    "propertyNames": PROPERTY_NAME,
    "additionalProperties": {"type": "string"},
}


def refuse_fixed(names: Iterable[str]) -> None:
    """Refuse to set what a client cannot set, as Glance does."""
    for name in names:
        if name in READ_ONLY:
            raise Forbidden("image-read-only", f"Attribute '{name}' is read-only.")
        if name in RESERVED or name.startswith(_RESERVED_BEGINNING):
            raise Forbidden("image-reserved", f"Attribute '{name}' is reserved.")


def column_of(name: str) -> str | None:
    """The column that an attribute stands for; None for a property."""
    return COLUMNS.get(name, name) if name in WRITABLE else None
