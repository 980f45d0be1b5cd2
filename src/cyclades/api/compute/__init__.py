"""The Compute service: Nova's API v2.1."""

from __future__ import annotations

from cyclades.api.compute import (
    flavors,
    instance_actions,
    keypairs,
    metadata,
    project,
    server_actions,
    server_image,
    servers,
    versions,
    volume_attachments,
)
from cyclades.api.compute.service import ROOT, SERVICE

SERVICES = (SERVICE, ROOT)

__all__ = [
    "SERVICES",
    "flavors",
    "instance_actions",
    "keypairs",
    "metadata",
    "project",
    "server_actions",
    "server_image",
    "servers",
    "versions",
    "volume_attachments",
]
