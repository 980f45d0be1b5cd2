"""Quotas as commands show and name them: a volume type's by its name."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import typer

from cyclades.cli.output import Fields
from cyclades.cli.resource import Resource, Where
from cyclades.config import UNLIMITED, Settings
from cyclades.model import quota
from cyclades.model.errors import Invalid
from cyclades.store import quotas, volume_types
from cyclades.store.database import Tx
from cyclades.store.schema import project, quota_limit

_MOST = 2**62
DEFAULTS = "(defaults)"  # stands for what a project has that has no limit of its own
DEFAULT = "default"  # as a limit: the default one


def names(tx: Tx) -> dict[str, str]:
    """The name of each quota by its resource."""
    found = {resource: resource for resource in (*quota.RESOURCES, quota.PER_VOLUME)}
    for type_id, name in volume_types.living_names(tx).items():
        found |= {quota.per_type(resource, type_id): f"{resource}_{name}" for resource in quota.PER_TYPE}
    return found


def _read(tx: Tx, settings: Settings, where: Where) -> list[Fields]:
    known = names(tx)
    rows = tx.execute(sa.select(project).where(*where).order_by(project.c.name, project.c.id)).all()
    items = []
    for row in rows:
        most, used = quotas.limits(tx, settings.quotas, row.id), quotas.usage(tx, row.id)
        own = set(tx.execute(sa.select(quota_limit.c.resource).where(quota_limit.c.project_id == row.id)).scalars())
        items += [
            _fields(row.name, row.id, name, used.get(resource, 0), most.get(resource, UNLIMITED), resource in own)
            for resource, name in known.items()
        ]
    return items


def _fields(of: str, project_id: str | None, resource: str, used: int | None, limit: int, own: bool) -> Fields:
    full = None if used is None or limit <= 0 else round(100 * used / limit)
    return {
        "project": of,
        "resource": resource,
        "used": used,
        "limit": None if limit == UNLIMITED else limit,
        "percent": full,
        "own": own,
        "project_id": project_id,
    }


def _defaults(tx: Tx, settings: Settings, _: Where) -> list[Fields]:
    most = quotas.defaults(tx, settings.quotas)
    return [
        _fields(DEFAULTS, DEFAULTS, name, None, most.get(resource, UNLIMITED), False)
        for resource, name in names(tx).items()
    ]


_COLUMNS = ("project", "resource", "used", "limit", "percent", "own")

QUOTA = Resource(columns=_COLUMNS, more=("project_id",), key=project.c.id, read=_read, field="project_id")
QUOTA_DEFAULTS = Resource(columns=_COLUMNS, more=("project_id",), key=project.c.id, read=_defaults, field="project_id")


def asked(tx: Tx, words: Sequence[str]) -> dict[str, int | None]:
    """The limit that each resource is to have, of `NAME=LIMIT` words; None is the default one. `Invalid` for a name
    that there is not."""
    resources = {name: resource for resource, name in names(tx).items()}
    found: dict[str, int | None] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in resources:
            raise Invalid("quota-resource", f"There is no quota {name!r}; there is {', '.join(resources)}.")
        found[resources[name]] = None if text == DEFAULT else int(text)
    return found


def check_words(words: Sequence[str]) -> None:
    for word in words:
        _, equals, text = word.partition("=")
        number = text.removeprefix("-")
        if not equals or not (text == DEFAULT or (number.isdecimal() and UNLIMITED <= int(text) < _MOST)):
            hint = f"{word!r} is not NAME=LIMIT, where a limit is a number, -1 for none, or {DEFAULT!r}."
            raise typer.BadParameter(hint, param_hint="LIMIT")
