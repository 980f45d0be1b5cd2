"""What other projects' tests start servers from."""

from __future__ import annotations

import subprocess
from typing import Any

from tests.clouds import Cloud, User
from tests.conformance.suites import ROOT


def images(cloud: Cloud) -> tuple[str, str]:
    """The ids of two public images with the small guest in them."""
    built = subprocess.run([ROOT / "guest" / "build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    admin = cloud.user("openrc")
    return _image(admin, "small-guest", built), _image(admin, "small-guest-again", built)


def _image(admin: User, name: str, path: str) -> str:
    asked = {"name": name, "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
    image: dict[str, Any] = admin.ask("POST", "/image/v2/images", asked)
    with open(path, "rb") as file:
        headers = {"Content-Type": "application/octet-stream"}
        admin.ask("PUT", f"/image/v2/images/{image['id']}/file", content=file, headers=headers)
    return str(image["id"])
