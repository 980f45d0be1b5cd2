"""What a new cloud has: a domain, the roles, the projects admin and demo, and a user for each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import sqlalchemy as sa

from cyclades.model.names import identity_id
from cyclades.model.roles import ADMIN, BUILT_IN, MEMBER
from cyclades.store import assignments, domains, projects, roles, users
from cyclades.store.database import Tx
from cyclades.store.schema import domain

USERS = ("admin", "demo")


def is_done(tx: Tx) -> bool:
    return tx.execute(sa.select(domain.c.id).where(domain.c.id == domains.DEFAULT)).first() is not None


def new_password() -> str:
    return secrets.token_urlsafe(18)


def make(tx: Tx, password_hashes: Mapping[str, str]) -> bool:
    """Make it all, with these hashes for the users `USERS`. False (and nothing happens) where it was made before,
    whatever has been removed since."""
    if is_done(tx):
        return False
    domains.add(tx, domains.DEFAULT, name="Default", description="The default domain")
    role_ids = {name: identity_id() for name in BUILT_IN}
    for name, role_id in role_ids.items():
        roles.add(tx, role_id, name=name)
    for name, role_name in zip(USERS, (ADMIN, MEMBER), strict=True):
        project_id, user_id = identity_id(), identity_id()
        projects.add(tx, project_id, domain_id=domains.DEFAULT, name=name)
        users.add(tx, user_id, domain_id=domains.DEFAULT, name=name, password_hash=password_hashes[name])
        assignments.add(tx, user_id, "project", project_id, role_ids[role_name])
        if role_name == ADMIN:
            assignments.add(tx, user_id, "system", assignments.SYSTEM, role_ids[role_name])
    return True
