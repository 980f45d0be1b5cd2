"""Flavors as commands show and find them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.cli.output import Fields, moment
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.model.errors import NotFound
from cyclades.store import flavors
from cyclades.store.database import Tx
from cyclades.store.schema import flavor, flavor_access, project


def find(tx: Tx, id_or_name: str) -> Row[Any]:
    """`NotFound` if no flavor has the id or the name."""
    try:
        return flavors.get(tx, id_or_name, None)
    except NotFound:
        row = tx.execute(flavors.query(None).where(flavor.c.name == id_or_name)).one_or_none()
        if row is None:
            raise
        return row


def _read(tx: Tx, _: Settings, where: Where) -> list[Fields]:
    given = sa.select(flavor_access, project.c.name).outerjoin(project, project.c.id == flavor_access.c.project_id)
    projects: dict[str, list[str]] = {}
    for row in tx.execute(given):
        projects.setdefault(row.flavor_id, []).append(row.name or row.project_id)
    order = (flavor.c.vcpus, flavor.c.ram, flavor.c.disk, flavor.c.name)
    return [
        {
            "id": row.id,
            "name": row.name,
            "vcpus": row.vcpus,
            "ram": row.ram,
            "disk": row.disk,
            "public": row.is_public,
            "specs": row.extra_specs,
            "projects": sorted(projects.get(row.id, [])),
            "description": row.description,
            "created_at": moment(row.created_at),
            "updated_at": moment(row.updated_at),
            "deleted_at": moment(row.deleted_at),
        }
        for row in tx.execute(sa.select(flavor).where(*where).order_by(*order))
    ]


FLAVOR = Resource(
    columns=("id", "name", "vcpus", "ram", "disk", "public", "specs"),
    more=("projects", "description", "created_at", "updated_at", "deleted_at"),
    key=flavor.c.id,
    read=_read,
)
