"""/os-keypairs: given, or made here (then the private half is in the answer, and kept nowhere)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import Row

from cyclades.api.compute import since
from cyclades.api.compute.schemas import closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.api.http.service import Answer
from cyclades.api.http.times import micros
from cyclades.api.http.versions import Version
from cyclades.model.errors import Forbidden, Invalid, NotFound
from cyclades.store import keypairs
from cyclades.store.database import Tx

MOST_KEYPAIRS = 100  # of one user
_BITS = 2048


def _create(version: Version) -> Schema:
    chars = "a-zA-Z0-9_ -" if version < since.KEYPAIR_GIVEN_ONLY else "a-zA-Z0-9_ @.-"
    properties: Schema = {
        "name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^[{chars}]+$"},
        "public_key": {"type": "string", "maxLength": 16384},
    }
    required = ["name"]
    if version >= since.KEYPAIR_TYPE:
        properties["type"] = {"enum": ["ssh"]}
    if version >= since.KEYPAIR_USER_ID:
        properties["user_id"] = {"type": "string", "maxLength": 64}
    if version >= since.KEYPAIR_GIVEN_ONLY:
        required.append("public_key")
    return closed({"keypair": closed(properties, *required)}, "keypair")


@SERVICE.route("POST", "/os-keypairs", who="member", status=201, body=_create)
async def create(request: Request) -> Answer:
    asked = request.body["keypair"]
    name, user_id = asked["name"].strip(), _user(request, asked.get("user_id"))
    if not name:
        raise Invalid("keypair-name", "The name of a key pair is not empty.", field="name")
    private = None
    if "public_key" in asked:
        public = asked["public_key"].strip()
    else:
        private, public = await asyncio.to_thread(_generate)
    fingerprint = _fingerprint(public)

    view = {"name": name, "public_key": public, "fingerprint": fingerprint, "user_id": user_id}
    if request.version >= since.KEYPAIR_TYPE:
        view["type"] = "ssh"
    if private is not None:
        view["private_key"] = private

    def add(tx: Tx) -> dict[str, str]:
        if keypairs.count(tx, user_id) >= MOST_KEYPAIRS:
            raise Forbidden("quota-keypairs", "Quota exceeded, too many key pairs.")
        keypairs.add(tx, user_id, name, public_key=public, fingerprint=fingerprint)
        return view

    return Answer(201 if request.version >= since.KEYPAIR_TYPE else 200, {"keypair": await request.create(add)})


def _generate() -> tuple[str, str]:
    """RSA in the old PEM form: every ssh reads it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} Generated-by-Cyclades"


def _fingerprint(public: str) -> str:
    """MD5 of the key, as Nova shows it. `Invalid` if this is no public key of OpenSSH's."""
    try:
        serialization.load_ssh_public_key(public.encode("ascii"))
        blob = base64.b64decode(public.split()[1], validate=True)
    except (ValueError, IndexError, UnsupportedAlgorithm) as error:
        raise Invalid(
            "keypair-key", "Keypair data is invalid: failed to generate fingerprint", field="public_key"
        ) from error
    if len(public.splitlines()) != 1:
        raise Invalid("keypair-key", "Keypair data is invalid: it is more than one line.", field="public_key")
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, 32, 2))


def _user(request: Request, asked: str | None) -> str:
    """Whose keypairs: one's own, or for admins anybody's."""
    own = request.caller.user_id
    if asked is None or asked == own:
        return own
    if not request.caller.is_admin:
        raise Forbidden("keypair-user", "Only admins reach the key pairs of other users.")
    return asked


def _asked_user(request: Request) -> str:
    return _user(request, request.one("user_id") if request.version >= since.KEYPAIR_USER_ID else None)


def _brief(request: Request, row: Row[Any]) -> dict[str, Any]:
    view = {"name": row.name, "public_key": row.public_key, "fingerprint": row.fingerprint}
    if request.version >= since.KEYPAIR_TYPE:
        view["type"] = "ssh"
    return view


@SERVICE.route("GET", "/os-keypairs", who="reader")
async def every(request: Request) -> dict[str, Any]:
    user_id, most, marker = _asked_user(request), request.settings.api.page, None
    if request.version >= since.KEYPAIR_PAGES:
        asked, marker = request.whole("limit"), request.one("marker")
        most = most if asked is None else min(asked, most)

    def read(tx: Tx) -> list[Row[Any]]:
        if marker is not None:
            try:
                keypairs.get(tx, user_id, marker)
            except NotFound as missing:
                raise Invalid("marker", f"The marker {marker} is not in this list.", field="marker") from missing
        return keypairs.of_user(tx, user_id, after=marker, limit=most + 1)

    rows = await request.db.read(read)
    answer: dict[str, Any] = {"keypairs": [{"keypair": _brief(request, row)} for row in rows[:most]]}
    if request.version >= since.KEYPAIR_PAGES and len(rows) > most > 0:
        answer["keypairs_links"] = lists.next_link(request, rows[most - 1].name)
    return answer


@SERVICE.route("GET", "/os-keypairs/{name}", who="reader")
async def show(request: Request) -> dict[str, Any]:
    user_id = _asked_user(request)
    row = await request.db.read(lambda tx: keypairs.get(tx, user_id, request.ids["name"]))
    number = int(hashlib.sha256(f"{row.user_id}/{row.name}".encode()).hexdigest()[:7], 16)
    more = {"user_id": row.user_id, "id": number, "created_at": micros(row.created_at)}
    never = {"updated_at": None, "deleted": False, "deleted_at": None}
    return {"keypair": {**_brief(request, row), **more, **never}}


async def _delete(request: Request) -> None:
    user_id = _asked_user(request)

    def remove(tx: Tx) -> None:
        keypairs.remove(tx, user_id, keypairs.get(tx, user_id, request.ids["name"]).name)

    await request.db.write(remove)


SERVICE.route("DELETE", "/os-keypairs/{name}", who="member", status=202, until="2.1")(_delete)
SERVICE.route("DELETE", "/os-keypairs/{name}", who="member", status=204, since="2.2")(_delete)
