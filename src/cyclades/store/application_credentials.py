"""Application credentials as rows: secrets with which a program logs in as a user, to one project, with some roles."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from cyclades.model.errors import Conflict, NotFound
from cyclades.store import revocations
from cyclades.store.database import Tx
from cyclades.store.schema import application_credential, now


def add(tx: Tx, credential_id: str, *, user_id: str, name: str, **values: Any) -> None:
    """`Conflict` if the user has one of this name."""
    row = {"id": credential_id, "user_id": user_id, "name": name, "created_at": now(), **values}
    try:
        tx.execute(application_credential.insert(), row)
    except IntegrityError as error:
        text = f"Conflict occurred attempting to store application credential - Duplicate entry found with name {name}."
        raise Conflict("application-credential-name", text, field="name") from error


def get(tx: Tx, user_id: str, credential_id: str) -> Row[Any]:
    found = of_user(tx, user_id, id=credential_id)
    if not found:
        raise NotFound("application-credential", credential_id)
    return found[0]


def find(tx: Tx, credential_id: str) -> Row[Any] | None:
    """Whosever it is."""
    wanted = sa.select(application_credential).where(application_credential.c.id == credential_id)
    return tx.execute(wanted).one_or_none()


def of_user(tx: Tx, user_id: str, **wanted: Any) -> list[Row[Any]]:
    """Those whose columns are as `wanted`, by name."""
    conditions = (application_credential.c[name] == value for name, value in wanted.items())
    found = sa.select(application_credential).where(application_credential.c.user_id == user_id, *conditions)
    return list(tx.execute(found.order_by(application_credential.c.name)).all())


def remove(tx: Tx, user_id: str, credential_id: str) -> None:
    """Ends its tokens."""
    get(tx, user_id, credential_id)
    tx.execute(application_credential.delete().where(application_credential.c.id == credential_id))
    revocations.add(tx, "credential", [credential_id])
