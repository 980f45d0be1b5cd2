"""Grants: what a machine shows that is to fetch one image for one server, and is nobody's user."""

from __future__ import annotations

import base64
import binascii
import time

import msgspec

from cyclades.model.errors import Unauthorized
from cyclades.security.keys import Keys, Unsealable

SECONDS = 3600  # that a grant is good for, from when the machine was told
_CONTEXT = "grant"
_LONGEST = 1024  # characters


class Grant(msgspec.Struct, frozen=True):
    """`until` is µs since 1970 UTC."""

    image_id: str
    server_id: str
    until: int


def issue(keys: Keys, image_id: str, server_id: str, *, seconds: int = SECONDS) -> str:
    """Sealed, so that it tells nothing and cannot be made by others; of letters that stand in any header."""
    grant = Grant(image_id, server_id, time.time_ns() // 1000 + seconds * 1_000_000)
    return base64.urlsafe_b64encode(keys.seal(msgspec.json.encode(grant), _CONTEXT)).decode()


def check(keys: Keys, text: str) -> Grant:
    """Raises `Unauthorized`."""
    try:
        if len(text) > _LONGEST:
            raise ValueError
        sealed = base64.b64decode(text, altchars=b"-_", validate=True)
        grant = msgspec.json.decode(keys.open(sealed, _CONTEXT), type=Grant)
    except (ValueError, binascii.Error, Unsealable, msgspec.DecodeError) as error:
        raise Unauthorized("grant", "This is no grant for an image.") from error
    if grant.until < time.time_ns() // 1000:
        raise Unauthorized("grant", "The grant for the image has run out.")
    return grant
