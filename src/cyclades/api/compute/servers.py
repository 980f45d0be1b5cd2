"""/servers"""

from __future__ import annotations

import secrets
from ipaddress import IPv6Address
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.api.compute import block_devices, server_filters, since, views
from cyclades.api.compute.schemas import (
    BASE64,
    DESCRIPTION,
    DISK_CONFIG,
    HOSTNAME,
    HOSTNAME_WITH_DOMAIN,
    IPV4,
    IPV6,
    METADATA,
    NAME_OR_NULL,
    OBJECT_OR_NULL,
    POSITIVE,
    TAG,
    TAGS,
    closed,
)
from cyclades.api.compute.service import SERVICE
from cyclades.api.http import lists
from cyclades.api.http.errors import HttpRefusal
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import BOOLEAN, NAME_NOT_EMPTY, UUID, Schema, is_true
from cyclades.api.http.service import Answer
from cyclades.api.http.versions import Version
from cyclades.model.errors import Forbidden, Invalid
from cyclades.model.nics import NETWORK_ID
from cyclades.operations import server_create, server_delete
from cyclades.operations.block_device import invalid
from cyclades.operations.server_create import Asked
from cyclades.store import attachments, servers
from cyclades.store.database import Tx
from cyclades.store.schema import image

_MOST_AT_ONCE = 32  # servers of one request


def _hostname(version: Version) -> Schema:
    return HOSTNAME_WITH_DOMAIN if version >= since.HOSTNAME_WITH_DOMAIN else HOSTNAME


def _create(version: Version) -> Schema:
    text_or_null: Schema = {"type": ["string", "null"], "maxLength": 255}
    network: Schema = {"uuid": UUID, "port": text_or_null, "fixed_ip": text_or_null}
    if since.has_network_tags(version):
        network["tag"] = TAG
    networks: Schema = {"type": "array", "items": closed(network), "maxItems": 16}
    properties: Schema = {
        "name": NAME_NOT_EMPTY,
        "imageRef": {"anyOf": [UUID, {"const": ""}]},
        "flavorRef": {"type": ["string", "integer"], "minLength": 1, "maxLength": 255},
        "adminPass": {"type": "string", "maxLength": 255},
        "metadata": METADATA,
        "networks": networks,
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": IPV4,
        "accessIPv6": IPV6,
        "availability_zone": NAME_OR_NULL,
        "block_device_mapping": block_devices.old_schema(),
        "block_device_mapping_v2": block_devices.schema(version),
        "config_drive": BOOLEAN,
        "key_name": NAME_NOT_EMPTY,
        "min_count": POSITIVE,
        "max_count": POSITIVE,
        "return_reservation_id": BOOLEAN,
        "security_groups": {
            "type": "array",
            "maxItems": 64,
            "items": {"type": "object", "properties": {"name": NAME_NOT_EMPTY}, "additionalProperties": False},
        },
        "user_data": {"anyOf": [BASE64, {"type": "null"}]},
    }
    required = ["name", "flavorRef"]
    if version >= since.SERVER_DESCRIPTION:
        properties["description"] = DESCRIPTION
    if version >= since.NETWORKS_REQUIRED:
        properties["networks"] = {"anyOf": [networks, {"enum": ["auto", "none"]}]}
        required.append("networks")
    if version >= since.SERVER_TAGS_AT_CREATION:
        properties["tags"] = TAGS
    if version < since.PERSONALITY_GONE:
        properties["personality"] = {"type": "array", "maxItems": 0}  # we put no files into guests
    if version >= since.SERVER_TRUSTED_CERTIFICATES:
        properties["trusted_image_certificates"] = {"type": "null"}
    if version >= since.SERVER_HOST_ASKED:
        properties |= {"host": NAME_NOT_EMPTY, "hypervisor_hostname": NAME_NOT_EMPTY}
    if version >= since.SERVER_HOSTNAME:
        properties["hostname"] = _hostname(version)
    hints = {"OS-SCH-HNT:scheduler_hints": OBJECT_OR_NULL, "os:scheduler_hints": OBJECT_OR_NULL}
    return closed({"server": closed(properties, *required), **hints}, "server")


@SERVICE.route("POST", "/servers", who="member", status=202, body=_create)
async def create(request: Request) -> Answer:
    body = request.body["server"]
    for group in body.get("security_groups", ()):
        if group.get("name", "default") != "default":
            raise Invalid(
                "security-groups", "There are no security groups here but 'default'.", field="security_groups"
            )
    host = body.get("host") or body.get("hypervisor_hostname")
    if host is not None and not request.caller.is_admin:
        raise Forbidden("server-host", "Only admins choose where a server runs.")
    least, most = int(body.get("min_count", 1)), int(body.get("max_count", body.get("min_count", 1)))
    if least > most:
        raise Invalid("min-count", "min_count must be <= max_count", field="min_count")
    if most > _MOST_AT_ONCE:
        raise Forbidden("max-count", f"At most {_MOST_AT_ONCE} servers are made by one request.")
    asked = _asked(body)
    if most > 1 and any(disk.volume_id is not None for disk in asked["disks"]):
        raise invalid("Cannot attach one or more volumes to multiple instances.")
    names = [asked["name"]] if most == 1 else [f"{asked['name']}-{i}" for i in range(1, most + 1)]
    caller, settings = request.caller, request.settings

    password = body.get("adminPass") or secrets.token_urlsafe(12)

    def accept(tx: Tx) -> dict[str, Any]:
        made = [server_create.start(tx, caller, settings, Asked(**{**asked, "name": name})) for name in names]
        view = views.server_created(request, made[0], password)
        view["OS-DCF:diskConfig"] = asked["extra"].get("disk_config", "MANUAL")
        return view

    view = await request.create(accept)
    if is_true(body.get("return_reservation_id")):
        return Answer(202, {"reservation_id": f"r-{view['id'][:8]}"})
    return Answer(202, {"server": view}, {"Location": view["links"][0]["href"]})


def _asked(body: dict[str, Any]) -> dict[str, Any]:
    image_id = (body.get("imageRef") or "").lower() or None
    return {
        "name": body["name"].strip(),
        "flavor_id": str(body["flavorRef"]).rpartition("/")[2],
        "image_id": image_id,
        "disks": block_devices.disks(body, image_id),
        "description": body.get("description"),
        "hostname": body.get("hostname"),
        "key_name": body.get("key_name"),
        "user_data": body.get("user_data") or None,
        "metadata": body.get("metadata", {}),
        "tags": sorted(set(body.get("tags", ()))),
        "extra": _extra(body),
        "config_drive": is_true(body.get("config_drive")),
        "network": _wants_network(body.get("networks")),
        "availability_zone": body.get("availability_zone") or None,
        "host": body.get("host") or body.get("hypervisor_hostname"),
    }


def _extra(body: dict[str, Any]) -> dict[str, Any]:
    names = {"OS-DCF:diskConfig": "disk_config", "accessIPv4": "accessIPv4", "accessIPv6": "accessIPv6"}
    extra = {ours: body[theirs] for theirs, ours in names.items() if theirs in body}
    if "accessIPv6" in extra:
        extra["accessIPv6"] = str(IPv6Address(extra["accessIPv6"]))  # of the ways to write one, the shortest
    for network in body.get("networks") or ():
        if isinstance(network, dict) and "tag" in network:
            extra["network_tag"] = network["tag"]  # for the guest
    return extra


def _wants_network(networks: Any) -> bool:
    if networks == "none":
        return False
    if networks in (None, "auto", []):
        return True
    for network in networks:
        if network.get("port") or network.get("fixed_ip"):
            raise Invalid(
                "network", "Ports and addresses are given by the backend: name the network only.", field="networks"
            )
        if network.get("uuid") != NETWORK_ID:
            raise Invalid("network", f"Network {network.get('uuid')} could not be found.", field="networks")
    if len(networks) > 1:
        raise Invalid("network", "A server has one network interface here.", field="networks")
    return True


# --- reading --------------------------------------------------------------------------------------


@SERVICE.route("GET", "/servers", who="reader")
async def brief(request: Request) -> dict[str, Any]:
    return await _list(request, detail=False)


@SERVICE.route("GET", "/servers/detail", who="reader")
async def detail(request: Request) -> dict[str, Any]:
    return await _list(request, detail=True)


async def _list(request: Request, *, detail: bool) -> dict[str, Any]:
    wanted = lists.page(request, server_filters.SORTABLE)

    def read(tx: Tx) -> dict[str, Any]:
        rows, more = servers.page(tx, server_filters.found(tx, request), wanted)
        if detail:
            attached = attachments.of_servers(tx, [row.id for row in rows], *attachments.LISTED)
            images = _image_properties(tx, request, rows)
            answer = {
                "servers": [
                    views.server(request, row, attached.get(row.id, ()), images.get(row.image_id), in_list=True)
                    for row in rows
                ]
            }
        else:
            answer = {"servers": [views.server_brief(request, row) for row in rows]}
        if more and rows:
            answer["servers_links"] = lists.next_link(request, rows[-1].id)
        return answer

    return await request.db.read(read)


def _image_properties(tx: Tx, request: Request, rows: list[Row[Any]]) -> dict[str, dict[str, Any]]:
    ids = {row.image_id for row in rows if row.image_id is not None}
    if request.version < since.SERVER_IMAGE_PROPERTIES or not ids:
        return {}
    wanted = sa.select(image.c.id, image.c.properties).where(image.c.id.in_(ids))
    return {row.id: row.properties for row in tx.execute(wanted)}


@SERVICE.route("GET", "/servers/{server_id}", who="reader")
async def show(request: Request) -> dict[str, Any]:
    return {"server": await request.db.read(lambda tx: _view(tx, request))}


def _view(tx: Tx, request: Request, *, brief_update: bool = False) -> dict[str, Any]:
    row = servers.get(tx, request.ids["server_id"], request.caller.scope)
    images = _image_properties(tx, request, [row])
    attached = attachments.of_server(tx, row.id)
    return views.server(request, row, attached, images.get(row.image_id), brief_update=brief_update)


@SERVICE.route("GET", "/servers/{server_id}/ips", who="reader")
async def addresses(request: Request) -> dict[str, Any]:
    row = await request.db.read(lambda tx: servers.get(tx, request.ids["server_id"], request.caller.scope))
    return {"addresses": _plain(views.addresses(request, row))}


@SERVICE.route("GET", "/servers/{server_id}/ips/{network}", who="reader")
async def addresses_of_network(request: Request) -> dict[str, Any]:
    row = await request.db.read(lambda tx: servers.get(tx, request.ids["server_id"], request.caller.scope))
    found, network = _plain(views.addresses(request, row)), request.ids["network"]
    if network not in found:
        raise HttpRefusal(404, "Network not found")
    return {network: found[network]}


def _plain(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [{"addr": a["addr"], "version": a["version"]} for a in of_one] for name, of_one in found.items()}


# --- changing -------------------------------------------------------------------------------------


def _update(version: Version) -> Schema:
    properties: Schema = {
        "name": NAME_NOT_EMPTY,
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": IPV4,
        "accessIPv6": IPV6,
    }
    if version >= since.SERVER_DESCRIPTION:
        properties["description"] = DESCRIPTION
    if version >= since.SERVER_HOSTNAME:
        properties["hostname"] = _hostname(version)
    return closed({"server": closed(properties)}, "server")


@SERVICE.route("PUT", "/servers/{server_id}", who="member", body=_update)
async def update(request: Request) -> dict[str, Any]:
    body = request.body["server"]

    def change(tx: Tx) -> dict[str, Any]:
        row = servers.hold(tx, request.ids["server_id"], request.caller.scope)
        servers.require_unlocked(row, request.caller)
        values: dict[str, Any] = {name: body[name] for name in ("description", "hostname") if name in body}
        if "name" in body:
            values["name"] = body["name"].strip()
        if extra := _extra(body):
            values["extra"] = {**row.extra, **extra}
        if values:
            servers.change(tx, row.id, **values)
        return _view(tx, request, brief_update=request.version < since.UPDATE_SHOWS_ALL)

    return {"server": await request.db.write(change)}


@SERVICE.route("DELETE", "/servers/{server_id}", who="member", status=204)
async def delete(request: Request) -> None:
    await request.db.write(lambda tx: server_delete.start(tx, request.caller, request.ids["server_id"]))
