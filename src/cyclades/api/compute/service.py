"""The tables that the other modules of this package add their routes to."""

from __future__ import annotations

from cyclades.api.http.errors import compute_code, fault_body
from cyclades.api.http.service import Service
from cyclades.api.http.versions import Version, Versions

VERSIONS = Versions(
    "compute",
    Version(2, 1),
    Version(2, 101),
    legacy="x-openstack-nova-api-version",
    legacy_request_id="x-compute-request-id",
)

SERVICE = Service(
    "compute",
    "/compute/v2.1",
    versions=VERSIONS,
    code_of=compute_code,
    body_of=fault_body,
    project_in_url=True,
)

# Only says which versions there are.
ROOT = Service("compute-root", "/compute", versions=None, code_of=compute_code, body_of=fault_body)
