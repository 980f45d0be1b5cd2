"""What a guest learns when it boots: the files of its config drives, as cloud-init reads them.

In both of cloud-init's forms, each on a drive with the label that its readers look for, since guests know one or the
other: OpenStack's (`openstack/latest/…` on `config-2`) and NoCloud (`meta-data`, `user-data` on `cidata`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cyclades.model.errors import Invalid

OPENSTACK, NOCLOUD = "config-2", "cidata"  # labels


@dataclass(frozen=True)
class Device:
    """A disk or a network interface that its user gave a tag to find it by. `place` is what tells it from others in the
    guest: Nova's keys and values."""

    kind: str  # disk or nic
    bus: str
    tag: str
    place: Mapping[str, str]


@dataclass(frozen=True)
class Guest:
    """`user_data` is base64, as clients send it; `public_key` is one line of OpenSSH's."""

    server_id: str
    project_id: str
    name: str
    hostname: str
    availability_zone: str
    key_name: str | None = None
    public_key: str | None = None
    user_data: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[Device] = ()


def disk(serial: str, index: int, tag: str) -> Device:
    """At `index` on the one SCSI controller. Without Nova's `path`: guests look for their disks all at once, and name
    them as they come."""
    return Device("disk", "scsi", tag, {"address": f"0:0:{index}:0", "serial": serial})


def nic(mac: str, tag: str) -> Device:
    return Device("nic", "pci", tag, {"mac": mac})


def check_user_data(text: str | None) -> None:
    """`Invalid` unless `text` is what a guest can be given: base64, in lines or in one."""
    try:
        base64.b64decode(text or "")
    except ValueError as error:
        raise Invalid("user-data", "User data must be base64.", field="user_data") from error


def files(guest: Guest) -> dict[str, dict[str, bytes]]:
    """For each label of a drive, its files by path."""
    user_data = base64.b64decode(guest.user_data) if guest.user_data else b""
    openstack = {"openstack/latest/meta_data.json": json.dumps(_openstack(guest)).encode()}
    if user_data:
        openstack["openstack/latest/user_data"] = user_data
    # NoCloud wants user-data, if only an empty one.
    return {OPENSTACK: openstack, NOCLOUD: {"meta-data": _nocloud(guest), "user-data": user_data}}


def _nocloud(guest: Guest) -> bytes:
    lines = [f"instance-id: {guest.server_id}", f"local-hostname: {_yaml(guest.hostname)}"]
    if guest.public_key:
        lines += ["public-keys:", f"  - {_yaml(guest.public_key.strip())}"]
    return "\n".join([*lines, ""]).encode()


def _yaml(text: str) -> str:
    """A string in YAML. JSON's form will not do: not all of its escapes mean the same there."""
    plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(plain)}"'


def _openstack(guest: Guest) -> dict[str, Any]:
    data: dict[str, Any] = {
        "uuid": guest.server_id,
        "name": guest.name,
        "hostname": guest.hostname,
        "project_id": guest.project_id,
        "availability_zone": guest.availability_zone,
        "launch_index": 0,
        "meta": dict(guest.metadata),
        "devices": [
            {"type": device.kind, "bus": device.bus, **device.place, "tags": [device.tag]} for device in guest.devices
        ],
    }
    if guest.public_key and guest.key_name:
        key = guest.public_key.strip()
        data["public_keys"] = {guest.key_name: key}
        data["keys"] = [{"name": guest.key_name, "type": "ssh", "data": key}]
    return data
