"""`cyclades quota-set`"""

from __future__ import annotations

from typing import Annotated

import typer

from cyclades.cli import quotas
from cyclades.cli.beside import Cloud, find_project
from cyclades.cli.command import command
from cyclades.model.errors import Invalid
from cyclades.store import quotas as rows
from cyclades.store.database import Tx


@command(quotas.QUOTA, changes=True)
def quota_set(
    cloud: Cloud,
    limits: Annotated[
        list[str],
        typer.Argument(metavar="NAME=LIMIT...", help="-1 is no limit, `default` the default one.", show_default=False),
    ],
    project: Annotated[str | None, typer.Option("--project", "-p", help="The project's name or id.")] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Of all projects that have no limit of their own.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also below what is used.")] = False,
) -> int:
    """Set limits: all of these, or none. `cyclades quota-list` says what there is, and in which units."""
    if (project is None) != defaults:
        raise typer.BadParameter("Say whose: --project, or --defaults.", param_hint="--project")
    quotas.check_words(limits)
    if defaults:
        cloud.resource = quotas.QUOTA_DEFAULTS

    def change(tx: Tx) -> list[str]:
        asked = quotas.asked(tx, limits)
        if project is None:
            _set_defaults(tx, asked)
            return [quotas.DEFAULTS]
        project_id: str = find_project(tx, project).id
        used = rows.usage(tx, project_id)
        for resource, limit in asked.items():
            if limit is None:
                rows.forget_limits(tx, project_id, [resource])
            elif 0 <= limit < used.get(resource, 0) and not force:
                text = f"The project uses {used[resource]} of {resource}: a limit of {limit} needs --force."
                raise Invalid("quota-below-usage", text, field=resource)
            else:
                rows.set_limit(tx, project_id, resource, limit)
        return [project_id]

    return cloud.change(change, many=True)


def _set_defaults(tx: Tx, asked: dict[str, int | None]) -> None:
    for resource, limit in asked.items():
        if limit is None:
            rows.forget_class_limit(tx, resource)
        else:
            rows.set_class_limit(tx, resource, limit)
