"""Volume types as commands show them, and what is said of one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.cli.output import Fields, moment
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.model import capabilities
from cyclades.model.errors import Invalid
from cyclades.store.database import Tx
from cyclades.store.schema import project, volume_type, volume_type_access

_SPEC = re.compile(r"[A-Za-z0-9_.:\-]{1,255}")
_LONGEST = 255


def _read(tx: Tx, settings: Settings, where: Where) -> list[Fields]:
    rows = tx.execute(sa.select(volume_type).where(*where).order_by(volume_type.c.created_at, volume_type.c.id)).all()
    given = sa.select(volume_type_access, project.c.name).outerjoin(
        project, project.c.id == volume_type_access.c.project_id
    )
    projects: dict[str, list[str]] = {}
    for row in tx.execute(given):
        projects.setdefault(row.volume_type_id, []).append(row.name or row.project_id)
    return [_fields(row, settings, sorted(projects.get(row.id, []))) for row in rows]


def _fields(row: Row[Any], settings: Settings, projects: list[str]) -> Fields:
    try:
        kind = capabilities.kind_of(row.extra_specs, settings.storage)
        detachable = capabilities.of_pool(kind.pool, settings.storage).detachable
        shown: dict[str, Any] = {"disk_template": kind.disk_template, "provider": kind.provider or None}
        shown |= {"pool": kind.pool, "detachable": detachable, "problem": None}
    except Invalid as refusal:
        shown = dict.fromkeys(("disk_template", "provider", "pool", "detachable")) | {"problem": str(refusal)}
    return {
        "id": row.id,
        "name": row.name,
        "public": row.is_public,
        "default": row.is_default,
        **shown,
        "projects": projects,
        "specs": row.extra_specs,
        "description": row.description,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "deleted_at": moment(row.deleted_at),
    }


def require_specs(specs: Mapping[str, str], settings: Settings) -> None:
    """`Invalid` for words that no type has, or for disks that this cloud cannot keep."""
    for name, value in specs.items():
        if not _SPEC.fullmatch(name) or len(value) > _LONGEST:
            raise Invalid("extra-spec", f"{name}={value[:40]} cannot be an extra spec.", field="spec")
    capabilities.kind_of(specs, settings.storage)


def specs_from(template: str | None, provider: str | None, pool: str | None) -> dict[str, str]:
    """What an operator says in words of its own, as extra specs."""
    given = {
        capabilities.TEMPLATE_SPEC: template,
        capabilities.PROVIDER_SPEC: provider,
        capabilities.POOL_SPEC: pool,
    }
    return {name: value for name, value in given.items() if value is not None}


VOLUME_TYPE = Resource(
    columns=("id", "name", "public", "default", "disk_template", "pool", "detachable"),
    more=("provider", "problem", "projects", "specs", "description", "created_at", "updated_at", "deleted_at"),
    key=volume_type.c.id,
    read=_read,
)
