"""The Identity service: Keystone's API v3."""

from __future__ import annotations

from cyclades.api.identity import (
    application_credentials,
    assignments,
    auth,
    catalog,
    domains,
    projects,
    roles,
    users,
    versions,
)
from cyclades.api.identity.service import SERVICE

SERVICES = (SERVICE,)

__all__ = [
    "SERVICES",
    "application_credentials",
    "assignments",
    "auth",
    "catalog",
    "domains",
    "projects",
    "roles",
    "users",
    "versions",
]
