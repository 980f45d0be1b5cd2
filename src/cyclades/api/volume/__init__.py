"""The Block Storage service: Cinder's API v3."""

from __future__ import annotations

from cyclades.api.volume import attach_actions, metadata, project, snapshots, types, versions, volume_actions, volumes
from cyclades.api.volume.service import ROOT, SERVICE

SERVICES = (SERVICE, ROOT)

__all__ = ["SERVICES", "attach_actions", "metadata", "project", "snapshots", "types", "versions", "volume_actions", "volumes"]
