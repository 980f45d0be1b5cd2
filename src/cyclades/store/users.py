"""Users as rows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from cyclades.model.errors import Conflict, NotFound
from cyclades.store import revocations
from cyclades.store.database import Tx
from cyclades.store.schema import domain, now, user

_WITH_DOMAIN = sa.select(user, domain.c.name.label("domain_name"), domain.c.enabled.label("domain_enabled")).join_from(
    user, domain, domain.c.id == user.c.domain_id
)


def add(tx: Tx, user_id: str, *, domain_id: str, name: str, **values: Any) -> None:
    """`Conflict` if the domain has a user of this name."""
    row = {"id": user_id, "domain_id": domain_id, "name": name, "created_at": now(), **values}
    try:
        tx.execute(user.insert(), row)
    except IntegrityError as error:
        raise _duplicate(name) from error


def get(tx: Tx, user_id: str) -> Row[Any]:
    """With `domain_name` and `domain_enabled`."""
    row = tx.execute(_WITH_DOMAIN.where(user.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound("user", user_id)
    return row


def by_name(tx: Tx, name: str, domain_id: str) -> Row[Any]:
    row = tx.execute(_WITH_DOMAIN.where(user.c.name == name, user.c.domain_id == domain_id)).one_or_none()
    if row is None:
        raise NotFound("user", name)
    return row


def every(tx: Tx, **wanted: Any) -> list[Row[Any]]:
    """Those whose columns are as `wanted`, by name."""
    found = sa.select(user).where(*(user.c[name] == value for name, value in wanted.items()))
    return list(tx.execute(found.order_by(user.c.name, user.c.id)).all())


def change(tx: Tx, user_id: str, **values: Any) -> None:
    """A new password, and disabling the user, end all the user's tokens."""
    try:
        tx.execute(user.update().where(user.c.id == user_id).values(**values))
    except IntegrityError as error:
        raise _duplicate(values["name"]) from error
    if "password_hash" in values or values.get("enabled") is False:
        revocations.add(tx, "user", [user_id])


def change_password(tx: Tx, user_id: str, *, before: str, after: str) -> bool:
    """Ends all the user's tokens; False (and nothing happens) if the hash is no longer `before`."""
    if not rehash(tx, user_id, before=before, after=after):
        return False
    revocations.add(tx, "user", [user_id])
    return True


def rehash(tx: Tx, user_id: str, *, before: str, after: str) -> bool:
    """The same password, hashed anew; False if another was set meanwhile."""
    changed = tx.execute(
        user.update().where(user.c.id == user_id, user.c.password_hash == before).values(password_hash=after)
    )
    return changed.rowcount == 1


def remove(tx: Tx, user_id: str) -> None:
    """With all the user's roles."""
    get(tx, user_id)
    tx.execute(user.delete().where(user.c.id == user_id))
    revocations.add(tx, "user", [user_id])


def _duplicate(name: str) -> Conflict:
    text = f"Conflict occurred attempting to store user - Duplicate entry found with name {name}."
    return Conflict("user-name", text, field="name")
