"""What is answered, as the service's document says it: what `views.py` makes, and the rest."""

from __future__ import annotations

from cyclades.api.http.schemas import UUID, Schema, shape
from cyclades.api.image.attributes import PROPERTY_NAME, READ_ONLY, WRITABLE
from cyclades.model.images import MEMBER_STATUSES

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"}


def _each(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_ATTRIBUTES = {"id": UUID, **WRITABLE, **READ_ONLY, "created_at": _TIME, "updated_at": _TIME}
# Properties that clients gave it stand beside its attributes.
IMAGE: Schema = {
    **shape(_ATTRIBUTES, optional=["direct_url"]),
    "propertyNames": PROPERTY_NAME,
    "additionalProperties": _TEXT,
}
IMAGES = shape({"images": _each(IMAGE), "first": _TEXT, "next": _TEXT, "schema": _TEXT}, optional=["next"])
MEMBER = shape(
    {
        "image_id": UUID,
        "member_id": _TEXT,
        "status": {"enum": list(MEMBER_STATUSES)},
        "created_at": _TIME,
        "updated_at": _TIME,
        "schema": _TEXT,
    }
)
MEMBERS = shape({"members": _each(MEMBER), "schema": _TEXT})
TASKS = shape({"tasks": {"type": "array", "maxItems": 0}})
VERSIONS = shape(
    {
        "versions": _each(
            shape(
                {
                    "id": {"type": "string", "pattern": "^v2[.][0-9]+$"},
                    "status": {"enum": ["CURRENT", "SUPPORTED"]},
                    "links": _each(shape({"rel": {"const": "self"}, "href": {"type": "string", "format": "uri"}})),
                }
            )
        )
    }
)
# Of `/v2/schemas`: it is a schema itself.
A_SCHEMA: Schema = {"type": "object", "properties": {"name": _TEXT}, "required": ["name"], "additionalProperties": {}}
