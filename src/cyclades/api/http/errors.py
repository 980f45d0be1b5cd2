"""From a refusal to an answer: the status code and the body of the service that was asked.

The codes are those that OpenStack's clients expect (docs/http-status-codes.md has the table with reasons).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cyclades.model import errors as e

# The wire's word for a status code, in Nova's and Cinder's error bodies.
_FAULTS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    409: "conflictingRequest",
    410: "gone",
    411: "lengthRequired",
    412: "preconditionFailed",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    500: "computeFault",
    501: "notImplemented",
    503: "serviceUnavailable",
}

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    410: "Gone",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}

# (refusal, service) → status code
CodeOf = Callable[[e.Refusal], int]
# (status code, message) → body
BodyOf = Callable[[int, str], dict[str, Any]]


class HttpRefusal(e.Refusal):
    """A refusal that only makes sense on the wire (an unknown path, an unsupported method), with its code."""

    def __init__(self, code: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"http-{code}", message)
        self.code = code
        self.headers = headers or {}


def general_code(refusal: e.Refusal) -> int:
    """The code that all services agree on."""
    match refusal:
        case HttpRefusal():
            return refusal.code
        case e.Invalid():
            return 400
        case e.Unauthorized():
            return 401
        case e.Forbidden():
            return 403
        case e.NotFound():
            return 404
        case e.WrongState() | e.Conflict():
            return 409
        case e.OverQuota() | e.TooLarge():
            return 413
        case e.TooMany():
            return 429
        case e.Unavailable():
            return 503
    return 400


def volume_code(refusal: e.Refusal) -> int:
    """Cinder says 400 for a volume, snapshot or attachment in the wrong state, and 404 for an unknown marker."""
    if isinstance(refusal, e.UnknownMarker):
        return 404
    if isinstance(refusal, e.WrongState) and refusal.resource != "server":
        return 400
    return general_code(refusal)


def compute_code(refusal: e.Refusal) -> int:
    """Nova says 409 for a server in the wrong state, 400 for a volume or an image, 403 over quota."""
    if isinstance(refusal, e.WrongState) and refusal.resource != "server":
        return 400
    if isinstance(refusal, e.OverQuota):
        return 403
    return general_code(refusal)


def fault_body(code: int, message: str) -> dict[str, Any]:
    """Nova's and Cinder's form."""
    return {_FAULTS.get(code, "computeFault"): {"code": code, "message": message}}


def error_body(code: int, message: str) -> dict[str, Any]:
    """Keystone's form; its clients read Glance's answers in it, too."""
    return {"error": {"code": code, "message": message, "title": _TITLES.get(code, "Error")}}
