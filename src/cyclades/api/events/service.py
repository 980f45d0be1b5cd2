"""The table that the other modules of this package add their routes to."""

from __future__ import annotations

from cyclades.api.http.errors import fault_body, general_code
from cyclades.api.http.service import Service

SERVICE = Service("events", "/events/v1", versions=None, code_of=general_code, body_of=fault_body)
