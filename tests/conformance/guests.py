"""What other projects' tests start servers from."""

from __future__ import annotations

import subprocess
from typing import Any

from tests.clouds import Cloud
from tests.conformance.suites import ROOT


def images(cloud: Cloud) -> tuple[str, str]:
    """The ids of two public images with the small guest in them."""
    return image(cloud, "small-guest"), image(cloud, "small-guest-again")


def image(cloud: Cloud, name: str) -> str:
    """The id of a new public image with the small guest in it."""
    built = subprocess.run([ROOT / "guest" / "build"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    admin = cloud.user("openrc")
    asked = {"name": name, "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
    made: dict[str, Any] = admin.ask("POST", "/image/v2/images", asked)
    with open(built, "rb") as file:
        headers = {"Content-Type": "application/octet-stream"}
        admin.ask("PUT", f"/image/v2/images/{made['id']}/file", content=file, headers=headers)
    return str(made["id"])
