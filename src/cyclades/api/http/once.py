"""`Idempotency-Key`: a POST that is sent again makes nothing again.

The first answer is kept, sealed since it may hold a secret, in the transaction that made the resource; so a refused
request binds no key. (IETF draft "The Idempotency-Key HTTP Header Field".)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from cyclades.model.errors import Conflict, Invalid
from cyclades.store import idempotency
from cyclades.store.database import Tx

if TYPE_CHECKING:
    from cyclades.api.http.request import Request

T = TypeVar("T")

HEADER = "idempotency-key"
_KEY = re.compile(r"[!-~]{1,255}")


def check_key(headers: Mapping[str, str]) -> None:
    """Of every POST, also where nothing is made that a repeat could make again."""
    if HEADER in headers and not _KEY.fullmatch(headers[HEADER]):
        raise Invalid("idempotency-key", "Idempotency-Key has 1 to 255 visible ASCII characters.", field=HEADER)


async def once(request: Request, change: Callable[[Tx], T]) -> T:
    """`db.write(change)`, whose result is what the client is answered (JSON values), or the answer of the first
    request that had the same key, path, project and user."""
    key = request.headers.get(HEADER)
    if key is None:
        return await request.db.write(change)
    assert request.claims is not None
    name = idempotency.Name(request.claims.project_id or "", request.claims.user_id, _path(request), key)
    body = hashlib.sha256(msgspec.json.encode(request.body, order="sorted")).hexdigest()
    context = "answer " + " ".join(name)

    def write(tx: Tx) -> Any:
        first = idempotency.begin(tx, name)
        if first is None:
            result = change(tx)
            kept = msgspec.json.encode({"body": body, "answer": result})
            idempotency.keep(tx, name, request.keys.seal(kept, context))
            return result
        known = msgspec.json.decode(request.keys.open(first, context))
        if known["body"] != body:
            raise Conflict(
                "idempotency-body",
                "This Idempotency-Key was used for another request: take a new one for a new request.",
                field=HEADER,
            )
        return known["answer"]

    return await request.db.write(write)


def _path(request: Request) -> str:
    prefix: str = request.service.prefix
    return prefix + request.path
