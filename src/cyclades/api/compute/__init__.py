"""The Compute service: Nova's API v2.1."""

from __future__ import annotations

from cyclades.api.compute import (
    flavor_access,
    flavors,
    hypervisors,
    image_proxies,
    instance_actions,
    keypairs,
    metadata,
    network_proxies,
    nothing,
    project,
    refused,
    server_actions,
    server_image,
    servers,
    services,
    tags,
    usage,
    versions,
    volume_attachments,
    volume_proxies,
)
from cyclades.api.compute.service import ROOT, SERVICE

SERVICES = (SERVICE, ROOT)

__all__ = [
    "SERVICES",
    "flavor_access",
    "flavors",
    "hypervisors",
    "image_proxies",
    "instance_actions",
    "keypairs",
    "metadata",
    "network_proxies",
    "nothing",
    "project",
    "refused",
    "server_actions",
    "server_image",
    "servers",
    "services",
    "tags",
    "usage",
    "versions",
    "volume_attachments",
    "volume_proxies",
]
