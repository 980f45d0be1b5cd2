"""Revocations as rows, written in the transaction that makes tokens invalid.

Their ids order them as they were committed: on PostgreSQL, where a sequence alone does not promise that, a
lock is held from before a row gets its id until the commit. So a process that has read up to an id has
missed none before it, and a token that was issued after reading up to an id can only be revoked by a
greater one; no clock takes part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.store.database import Tx
from cyclades.store.schema import now, revocation

Kind = Literal["token", "user", "project", "assignment", "credential"]
SIGNAL = "revocations"
LONGEST_TOKEN = 7 * 24 * 3600  # seconds; what may concern any token is kept for as long
_LOCK = 0x6379_636C_7265_766F  # PostgreSQL's name for the lock: any number, but always this one


def add(tx: Tx, kind: Kind, subjects: Iterable[str], *, expires_at: int | None = None) -> None:
    """Revoke the token, or all tokens of the user, for the project, of the user there (`assignment_subject`), or of
    the application credential.
    `expires_at` (µs) is when the last token concerned has expired."""
    until = now() + LONGEST_TOKEN * 1_000_000 if expires_at is None else expires_at
    rows = [{"kind": kind, "subject": subject, "expires_at": until} for subject in subjects]
    if not rows:
        return
    if tx.dialect == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    tx.execute(revocation.insert(), rows)
    tx.signal(SIGNAL)


def assignment_subject(user_id: str, target_id: str) -> str:
    """A user in a project, in a domain, or in the system (`all`)."""
    return f"{user_id}/{target_id}"


def after(tx: Tx, seen: int) -> list[Row[Any]]:
    """Those committed after the id `seen` that still matter, oldest first."""
    wanted = sa.select(revocation).where(revocation.c.id > seen, revocation.c.expires_at > now())
    return list(tx.execute(wanted.order_by(revocation.c.id)).all())
