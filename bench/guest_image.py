"""The small guest that servers are started from (guest/README.md), as an image of the cloud."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.endpoint import Endpoint

_BUILD = Path(__file__).parents[1] / "guest" / "build"


async def upload(endpoint: Endpoint) -> str:
    """The id of a new image with it."""
    service = endpoint.image
    assert service is not None
    about = {"name": "bench", "disk_format": "qcow2", "container_format": "bare"}
    image_id = str((await service.ask("POST", "/images", about))["id"])
    await service.ask("PUT", f"/images/{image_id}/file", _content())
    return image_id


def _content() -> bytes:
    built = subprocess.run([str(_BUILD)], check=True, stdout=subprocess.PIPE, text=True)
    return Path(built.stdout.strip()).read_bytes()
