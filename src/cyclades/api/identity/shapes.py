"""What is answered, as the service's document says it: what `views.py` makes, tokens, and the rest."""

from __future__ import annotations

from cyclades.api.http.schemas import Schema, shape

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NULL: Schema = {"type": "null"}
_TRUTH: Schema = {"type": "boolean"}
_ID: Schema = {"type": "string", "minLength": 1}
_HREF: Schema = {"type": "string", "format": "uri"}
_MICROSECONDS = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}"
_TIME: Schema = {"type": "string", "pattern": f"{_MICROSECONDS}Z$"}
_NOTHING = shape({})
_SELF = shape({"self": _HREF})
_ALL = shape({"all": {"const": True}})


def _each(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def one(kind: str, item: Schema) -> Schema:
    return shape({kind: item})


def listed(kinds: str, item: Schema) -> Schema:
    return shape({kinds: _each(item), "links": shape({"self": _HREF, "next": _NULL, "previous": _NULL})})


def _open(properties: Schema, *, optional: tuple[str, ...] = ()) -> Schema:
    """Fields that Keystone does not know stay beside those that it does (`schemas.kept_fields`)."""
    return {**shape(properties, optional=optional), "additionalProperties": {}}


_NAMED: Schema = {"id": _ID, "name": _TEXT, "options": _NOTHING, "links": _SELF}

USER = _open(
    {
        **_NAMED,
        "domain_id": _ID,
        "enabled": _TRUTH,
        "password_expires_at": _NULL,
        "default_project_id": _TEXT,
    },
    optional=("default_project_id",),
)
PROJECT = _open(
    {
        **_NAMED,
        "domain_id": _ID,
        "parent_id": _ID,
        "is_domain": {"const": False},
        "description": _TEXT,
        "enabled": _TRUTH,
        "tags": _each(_TEXT),
    }
)
DOMAIN = _open({**_NAMED, "description": _TEXT, "enabled": _TRUTH, "tags": {"type": "array"}})
ROLE = _open({**_NAMED, "domain_id": _NULL, "description": _TEXT})
NO_GROUP: Schema = {"not": {}}  # there are none

# --- application credentials ------------------------------------------------------------------------

_CREDENTIAL: Schema = {
    "id": _ID,
    "name": _TEXT,
    "description": _TEXT_OR_NULL,
    "user_id": _ID,
    "project_id": _ID,
    "system": _NULL,
    "roles": _each(shape({"id": _ID, "name": _TEXT, "domain_id": _NULL})),
    "expires_at": {"type": ["string", "null"], "pattern": f"{_MICROSECONDS}$"},
    "unrestricted": _TRUTH,
    "links": _SELF,
}
CREDENTIAL = shape(_CREDENTIAL)
NEW_CREDENTIAL = shape({**_CREDENTIAL, "secret": _TEXT})

# --- assignments ------------------------------------------------------------------------------------

# Names are told to who asks for them.
_DOMAIN_OF = shape({"id": _ID, "name": _TEXT})
_WITH_NAME: Schema = {"id": _ID, "name": _TEXT}
_WITH_DOMAIN = shape({**_WITH_NAME, "domain": _DOMAIN_OF}, optional=["name", "domain"])
ASSIGNMENT = shape(
    {
        "role": shape(_WITH_NAME, optional=["name"]),
        "user": _WITH_DOMAIN,
        "scope": {
            "oneOf": [
                shape({"project": _WITH_DOMAIN}),
                shape({"domain": shape(_WITH_NAME, optional=["name"])}),
                shape({"system": _ALL}),
            ]
        },
        "links": shape({"assignment": _HREF}),
    }
)

# --- the catalog ------------------------------------------------------------------------------------

_OFFERED: Schema = {"id": _ID, "type": _TEXT, "name": _TEXT}
_PLACE: Schema = {
    "id": _ID,
    "interface": {"enum": ["public", "internal", "admin"]},
    "region": _TEXT,
    "region_id": _TEXT,
    "url": _TEXT,
}
CATALOG = shape({**_OFFERED, "endpoints": _each(shape(_PLACE))})
SERVICE = shape({**_OFFERED, "description": _TEXT, "enabled": _TRUTH, "links": _SELF})
ENDPOINT = shape({**_PLACE, "service_id": _ID, "enabled": _TRUTH, "links": _SELF})
REGION = shape({"id": _ID, "description": _TEXT, "parent_region_id": _NULL, "links": _SELF})
SYSTEM = _ALL

# --- tokens -----------------------------------------------------------------------------------------

# A token is for one of a project, a domain and the system, and has roles then; or for none of them.
_SCOPE: Schema = {
    "project": shape({**_WITH_NAME, "domain": _DOMAIN_OF}),
    "is_domain": {"const": False},
    "domain": _DOMAIN_OF,
    "system": _ALL,
    "application_credential": shape({**_WITH_NAME, "restricted": _TRUTH}),
    "roles": _each(shape(_WITH_NAME)),
    "catalog": _each(CATALOG),
}
TOKEN = shape(
    {
        "methods": _each(_TEXT),
        "user": shape({**_WITH_NAME, "domain": _DOMAIN_OF, "password_expires_at": _NULL}),
        "audit_ids": {**_each(_TEXT), "minItems": 1, "maxItems": 2},
        "issued_at": _TIME,
        "expires_at": _TIME,
        **_SCOPE,
    },
    optional=_SCOPE,
)

# --- versions ---------------------------------------------------------------------------------------

_VERSION = shape(
    {
        "id": _TEXT,
        "status": {"const": "stable"},
        "updated": _TEXT,
        "links": _each(shape({"rel": {"const": "self"}, "href": _HREF})),
        "media-types": _each(shape({"base": _TEXT, "type": _TEXT})),
    }
)
VERSION = shape({"version": _VERSION})
VERSIONS = shape({"versions": shape({"values": _each(_VERSION)})})
