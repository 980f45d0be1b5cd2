"""Servers, attachments and flavors as Nova's clients see them. Closed schemas: not one key more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Row

from cyclades.api.compute import since
from cyclades.api.http.request import Request
from cyclades.api.http.times import micros, seconds
from cyclades.operations.server_lock import REASON

POWER = {"running": 1, "paused": 3, "stopped": 4, "crashed": 6, "missing": 0}
VM_STATE = {
    "BUILD": "building",
    "ACTIVE": "active",
    "REBOOT": "active",
    "HARD_REBOOT": "active",
    "SHUTOFF": "stopped",
    "ERROR": "error",
    "DELETED": "deleted",
}
_WITH_PROGRESS = {"ACTIVE": 0, "BUILD": 0, "REBOOT": 0, "HARD_REBOOT": 0}


def links(request: Request, kind: str, ident: str) -> list[dict[str, str]]:
    base = request.settings.public_url
    return [
        {"rel": "self", "href": f"{base}{request.service.prefix}/{kind}/{ident}"},
        {"rel": "bookmark", "href": f"{base}/compute/{kind}/{ident}"},
    ]


def _bookmark(request: Request, kind: str, ident: str) -> list[dict[str, str]]:
    return [{"rel": "bookmark", "href": f"{request.settings.public_url}/compute/{kind}/{ident}"}]


def server_brief(request: Request, row: Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": links(request, "servers", row.id)}


def server_created(request: Request, server_id: str, password: str) -> dict[str, Any]:
    return {
        "id": server_id,
        "links": links(request, "servers", server_id),
        "OS-DCF:diskConfig": "MANUAL",
        "security_groups": [{"name": "default"}],
        "adminPass": password,
    }


def server(
    request: Request,
    row: Row[Any],
    attached: Sequence[Row[Any]],
    image: dict[str, Any] | None = None,
    *,
    in_list: bool = False,
    brief_update: bool = False,
) -> dict[str, Any]:
    """`image` is the properties of the image, for the versions that show them. `brief_update`: what the answer
    to an update had before 2.75."""
    version, admin = request.version, request.caller.is_admin
    view: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "tenant_id": row.project_id,
        "user_id": row.user_id,
        "metadata": row.metadata,
        "hostId": host_id(row),
        "image": _image(request, row, image),
        "flavor": _flavor_of_server(request, row),
        "created": seconds(row.created_at),
        "updated": seconds(row.updated_at or row.created_at),
        "addresses": addresses(request, row),
        "accessIPv4": row.extra.get("accessIPv4", ""),
        "accessIPv6": row.extra.get("accessIPv6", ""),
        "links": links(request, "servers", row.id),
        "OS-DCF:diskConfig": row.extra.get("disk_config", "MANUAL"),
    }
    if row.status in _WITH_PROGRESS:
        view["progress"] = row.progress if row.status == "BUILD" and row.progress else _WITH_PROGRESS[row.status]
    if row.reason:
        view["fault"] = {"code": 500, "created": seconds(row.updated_at or row.created_at), "message": row.reason}
    if version >= since.SERVER_LOCKED:
        view["locked"] = row.locked
    if version >= since.SERVER_DESCRIPTION:
        view["description"] = row.description
    if version >= since.SERVER_TAGS:
        view["tags"] = row.tags
    if version >= since.SERVER_TRUSTED_CERTIFICATES:
        view["trusted_image_certificates"] = None
    if version >= since.SERVER_LOCKED_REASON:
        view["locked_reason"] = row.extra.get(REASON)
    if brief_update:
        return view
    view |= {
        "key_name": row.key_name,
        "config_drive": "True" if row.config_drive else "",
        "security_groups": [{"name": "default"}],
        "OS-EXT-AZ:availability_zone": request.settings.api.availability_zone,
        "OS-SRV-USG:launched_at": micros(row.launched_at),
        "OS-SRV-USG:terminated_at": micros(row.deleted_at),
        "OS-EXT-STS:task_state": row.task_state,
        "OS-EXT-STS:vm_state": VM_STATE[row.status],
        "OS-EXT-STS:power_state": POWER[row.power],
        "os-extended-volumes:volumes_attached": _volumes(request, row, attached),
    }
    if version >= since.SERVER_HOSTNAME:
        view["OS-EXT-SRV-ATTR:hostname"] = row.hostname
    if admin:
        view |= _for_admins(request, row)
    if version >= since.SERVER_GROUPS and not in_list:
        view["server_groups"] = []
    if version >= since.SERVER_PINNED_ZONE:
        view["pinned_availability_zone"] = None
    if version >= since.SERVER_SCHEDULER_HINTS:
        view["scheduler_hints"] = {}
    return view


def _for_admins(request: Request, row: Row[Any]) -> dict[str, Any]:
    view: dict[str, Any] = {
        "OS-EXT-SRV-ATTR:host": row.backend,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": row.backend,
        "OS-EXT-SRV-ATTR:instance_name": row.id,
    }
    if request.version >= since.SERVER_ATTRIBUTES:
        view |= {
            "OS-EXT-SRV-ATTR:reservation_id": f"r-{row.id[:8]}",
            "OS-EXT-SRV-ATTR:launch_index": 0,
            "OS-EXT-SRV-ATTR:hostname": row.hostname,
            "OS-EXT-SRV-ATTR:kernel_id": "",
            "OS-EXT-SRV-ATTR:ramdisk_id": "",
            "OS-EXT-SRV-ATTR:root_device_name": "/dev/sda",
            "OS-EXT-SRV-ATTR:user_data": row.user_data,
        }
    if request.version >= since.SERVER_HOST_STATUS:
        view["host_status"] = "UNKNOWN"  # only engines reach backends
    return view


def host_id(row: Row[Any]) -> str:
    """The same for all of a project's servers on one backend, and telling nothing more about it."""
    return _host_id(row.project_id, row.backend)


@lru_cache
def _host_id(project_id: str, backend: str) -> str:
    return hashlib.sha224(f"{project_id}{backend}".encode()).hexdigest()


def _image(request: Request, row: Row[Any], properties: dict[str, Any] | None) -> Any:
    if row.image_id is None:
        return ""
    view: dict[str, Any] = {"id": row.image_id, "links": _bookmark(request, "images", row.image_id)}
    if request.version >= since.SERVER_IMAGE_PROPERTIES:
        view["properties"] = properties or {}
    return view


def _flavor_of_server(request: Request, row: Row[Any]) -> dict[str, Any]:
    kept = row.flavor
    if request.version < since.SERVER_FLAVOR_INSIDE:
        return {"id": kept["id"], "links": _bookmark(request, "flavors", kept["id"])}
    return {
        "vcpus": kept["vcpus"],
        "ram": kept["ram"],
        "disk": kept["disk"],
        "ephemeral": 0,
        "swap": 0,
        "original_name": kept["name"],
        "extra_specs": kept["extra_specs"],
    }


def addresses(request: Request, row: Row[Any]) -> dict[str, list[dict[str, Any]]]:
    """The guest's own address as a fixed one; as a floating one the host's that leads to it."""
    found: list[dict[str, Any]] = []
    for nic in row.nics:
        mac = nic["mac"]
        found += [
            {"addr": address, "version": 4, "OS-EXT-IPS-MAC:mac_addr": mac, "OS-EXT-IPS:type": kind}
            for address, kind in ((nic["address"], "fixed"), (nic["forward"], "floating"))
            if address is not None
        ]
    return {request.settings.compute.network_name: found} if found else {}


def listed(server_row: Row[Any], attached: Iterable[Row[Any]]) -> list[Row[Any]]:
    """What shows in lists: a root that was booted by `imageRef` does not."""
    return list(attached) if server_row.image_id is None else [row for row in attached if not row.is_root]


def _volumes(request: Request, row: Row[Any], attached: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    if request.version < since.SERVER_ATTRIBUTES:
        return [{"id": one.volume_id} for one in listed(row, attached)]
    return [{"id": one.volume_id, "delete_on_termination": one.delete_on_termination} for one in listed(row, attached)]


def attachment(request: Request, row: Row[Any], *, made: bool = False) -> dict[str, Any]:
    """`made`: the answer to the request that made it, which kept `id` in all versions."""
    version = request.version
    view: dict[str, Any] = {"volumeId": row.volume_id, "serverId": row.server_id, "device": row.device}
    if made or version < since.ATTACHMENT_OWN_ID:
        view["id"] = row.volume_id
    if version >= since.ATTACHMENT_TAG:
        view["tag"] = row.tag
    if version >= since.ATTACHMENT_DELETE_ON_TERMINATION:
        view["delete_on_termination"] = row.delete_on_termination
    if version >= since.ATTACHMENT_OWN_ID and not made:
        view["attachment_id"] = row.id
        view["bdm_uuid"] = row.id
    return view


def flavor_brief(request: Request, row: Row[Any]) -> dict[str, Any]:
    view = {"id": row.id, "name": row.name, "links": links(request, "flavors", row.id)}
    if request.version >= since.FLAVOR_DESCRIPTION:
        view["description"] = row.description
    return view


def flavor(request: Request, row: Row[Any]) -> dict[str, Any]:
    view: dict[str, Any] = {
        **flavor_brief(request, row),
        "ram": row.ram,
        "disk": row.disk,
        "vcpus": row.vcpus,
        "swap": 0 if request.version >= since.FLAVOR_SWAP_NUMBER else "",
        "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": row.is_public,
    }
    if request.version >= since.FLAVOR_EXTRA_SPECS:
        view["extra_specs"] = row.extra_specs
    return view
