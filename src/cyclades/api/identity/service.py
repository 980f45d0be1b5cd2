"""The table that the other modules of this package add their routes to."""

from __future__ import annotations

from cyclades.api.http.errors import error_body, general_code
from cyclades.api.http.service import Service

SERVICE = Service("identity", "/identity", versions=None, code_of=general_code, body_of=error_body)
