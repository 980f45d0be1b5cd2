"""The tables that the other modules of this package add their routes to."""

from __future__ import annotations

from cyclades.api.http.errors import fault_body, volume_code
from cyclades.api.http.service import Service
from cyclades.api.http.versions import Version, Versions

VERSIONS = Versions("volume", Version(3, 0), Version(3, 71))

SERVICE = Service(
    "block-storage",
    "/volume/v3",
    versions=VERSIONS,
    code_of=volume_code,
    body_of=fault_body,
    project_in_url=True,
)

# Only says which versions there are.
ROOT = Service("block-storage-root", "/volume", versions=None, code_of=volume_code, body_of=fault_body)
