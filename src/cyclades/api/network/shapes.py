"""What is answered, as the document says it. Of a network, a subnet or a port, `fields` chooses what is shown."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.schemas import UUID, Schema, shape

_TEXT: Schema = {"type": "string"}
_HREF: Schema = {"type": "string", "format": "uri"}
_TIME: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"}
_EMPTY: Schema = {"type": "array", "maxItems": 0}


def _each(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _chosen(properties: Schema) -> Schema:
    return shape(properties, optional=properties)


def fixed(item: dict[str, Any]) -> Schema:
    """Of a network or subnet: all but what the operator's settings say."""
    constant = {name: {"const": value} for name, value in item.items()}
    return _chosen({**constant, "name": _TEXT, "availability_zones": _each(_TEXT)})


PORT = _chosen(
    {
        "id": UUID,
        "name": _TEXT,
        "description": _TEXT,
        "network_id": UUID,
        "mac_address": {"type": "string", "pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$"},
        "fixed_ips": _each(shape({"subnet_id": UUID, "ip_address": {"type": "string", "format": "ipv4"}})),
        "status": {"enum": ["ACTIVE", "DOWN"]},
        "admin_state_up": {"const": True},
        "device_id": UUID,
        "device_owner": {"type": "string", "pattern": "^compute:"},
        "security_groups": _EMPTY,
        "allowed_address_pairs": _EMPTY,
        "extra_dhcp_opts": _EMPTY,
        "port_security_enabled": {"const": True},
        "binding:vnic_type": {"const": "normal"},
        "tags": _EMPTY,
        "tenant_id": _TEXT,
        "project_id": _TEXT,
        "created_at": _TIME,
        "updated_at": _TIME,
        "revision_number": {"type": "integer"},
    }
)
_NEXT = _each(shape({"rel": {"const": "next"}, "href": _HREF}))


def one(name: str, item: Schema) -> Schema:
    return shape({name: item})


def listed(names: str, item: Schema) -> Schema:
    """`…_links` only where the list goes on."""
    return shape({names: _each(item), f"{names}_links": _NEXT}, optional=[f"{names}_links"])


def none(names: str) -> Schema:
    return shape({names: _EMPTY})


_SELF = _each(shape({"rel": {"const": "self"}, "href": _HREF}))
VERSIONS = shape({"versions": _each(shape({"id": _TEXT, "status": {"const": "CURRENT"}, "links": _SELF}))})
RESOURCES = shape({"resources": _each(shape({"name": _TEXT, "collection": _TEXT, "links": _SELF}))})
