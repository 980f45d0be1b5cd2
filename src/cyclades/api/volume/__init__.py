"""The Block Storage service: Cinder's API v3."""

from __future__ import annotations

from cyclades.api.volume import (
    attach_actions,
    attachments,
    default_types,
    extensions,
    extra_specs,
    metadata,
    quotas,
    resource_filters,
    snapshots,
    type_access,
    types,
    versions,
    volume_actions,
    volumes,
    zones,
)
from cyclades.api.volume.service import ROOT, SERVICE

SERVICES = (SERVICE, ROOT)

__all__ = [
    "SERVICES",
    "attach_actions",
    "attachments",
    "default_types",
    "extensions",
    "extra_specs",
    "metadata",
    "quotas",
    "resource_filters",
    "snapshots",
    "type_access",
    "types",
    "versions",
    "volume_actions",
    "volumes",
    "zones",
]
