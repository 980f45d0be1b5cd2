"""The table that the other modules of this package add their routes to."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.errors import general_code
from cyclades.api.http.service import Service

_TYPES = {400: "HTTPBadRequest", 403: "PolicyNotAuthorized", 404: "HTTPNotFound", 409: "Conflict"}


def _body(code: int, message: str) -> dict[str, Any]:
    """Neutron's form."""
    return {"NeutronError": {"type": _TYPES.get(code, "HTTPError"), "message": message, "detail": ""}}


SERVICE = Service("network", "/network", versions=None, code_of=general_code, body_of=_body)
