"""Offer a volume to whoever has the key, and take one that was offered."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any, NamedTuple

from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model.caller import Caller
from cyclades.model.errors import Invalid
from cyclades.operations import volume_move
from cyclades.operations.base import new_id
from cyclades.store import transfers, volumes
from cyclades.store.database import Tx


class Offer(NamedTuple):
    """`key` is told this once: only its hash is kept."""

    transfer_id: str
    key: str


def create(tx: Tx, caller: Caller, volume_id: str, *, name: str | None, no_snapshots: bool) -> Offer:
    """Offer a volume that is free; it is `awaiting-transfer` until the offer is accepted or taken back. Its snapshots
    go with it, or, with `no_snapshots`, stay with the project that gives."""
    row = volumes.hold(tx, volume_id, caller.scope)
    volumes.begin(tx, row, "transfer", status="awaiting-transfer", op_id=None)
    if not no_snapshots:
        volume_move.require_snapshots(tx, row)
    offer = Offer(new_id(), secrets.token_hex(16))
    transfers.add(
        tx,
        offer.transfer_id,
        volume_id=row.id,
        project_id=row.project_id,
        name=name,
        key_hash=_hash(offer.key),
        no_snapshots=no_snapshots,
    )
    return offer


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def accept(tx: Tx, caller: Caller, settings: Settings, transfer_id: str, key: str) -> Row[Any]:
    """Take a volume that was offered, whoever offered it; returns the transfer as it was."""
    row = transfers.hold(tx, transfer_id, None)
    if not hmac.compare_digest(_hash(key), row.key_hash):
        text = f"Invalid auth key: Attempt to transfer {transfer_id} with invalid auth key."
        raise Invalid("transfer-key", text, field="auth_key")
    volume = volumes.hold(tx, row.volume_id, None)
    volumes.begin(tx, volume, "accept", status="available", op_id=None)
    volume_move.move(
        tx,
        settings,
        volume,
        project_id=caller.project_id,
        user_id=caller.user_id,
        with_snapshots=not row.no_snapshots,
    )
    transfers.end(tx, row.id, accepted=True, destination_project_id=caller.project_id)
    return row


def take_back(tx: Tx, caller: Caller, transfer_id: str) -> None:
    """End an offer that nobody has accepted: its volume is free again."""
    row = transfers.hold(tx, transfer_id, caller.scope)
    transfers.end(tx, row.id)
    volume = volumes.hold(tx, row.volume_id, None)
    if volume.status == "awaiting-transfer":
        volumes.begin(tx, volume, "accept", status="available", op_id=None)
