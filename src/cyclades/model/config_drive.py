"""What a guest learns when it boots: the files of its config drive, as cloud-init reads them.

In both of cloud-init's forms, NoCloud (`meta-data`, `user-data`) and OpenStack (`openstack/latest/…`), since guests
know one or the other.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field


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


def files(guest: Guest) -> dict[str, bytes]:
    """By path on the drive."""
    user_data = base64.b64decode(guest.user_data) if guest.user_data else b""
    drive = {
        "meta-data": _nocloud(guest),
        "user-data": user_data,
        "openstack/latest/meta_data.json": json.dumps(_openstack(guest)).encode(),
    }
    if user_data:
        drive["openstack/latest/user_data"] = user_data
    return drive


def _nocloud(guest: Guest) -> bytes:
    lines = [f"instance-id: {guest.server_id}", f"local-hostname: {_yaml(guest.hostname)}"]
    if guest.public_key:
        lines += ["public-keys:", f"  - {_yaml(guest.public_key.strip())}"]
    return "\n".join([*lines, ""]).encode()


def _yaml(text: str) -> str:
    """A string in YAML. JSON's form will not do: not all of its escapes mean the same there."""
    plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(plain)}"'


def _openstack(guest: Guest) -> dict[str, object]:
    data: dict[str, object] = {
        "uuid": guest.server_id,
        "name": guest.name,
        "hostname": guest.hostname,
        "project_id": guest.project_id,
        "availability_zone": guest.availability_zone,
        "launch_index": 0,
        "meta": dict(guest.metadata),
    }
    if guest.public_key and guest.key_name:
        key = guest.public_key.strip()
        data["public_keys"] = {guest.key_name: key}
        data["keys"] = [{"name": guest.key_name, "type": "ssh", "data": key}]
    return data
