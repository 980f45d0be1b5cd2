"""What the `reconcile-…` commands have in common: they look, show what differs, and mend what they are told to."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated

import sqlalchemy as sa
import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.output import Fields
from cyclades.cli.reaching import reaching
from cyclades.cli.refused import DIFFERS, FAILED
from cyclades.cli.resource import Resource
from cyclades.model.errors import Refusal
from cyclades.operations.base import World
from cyclades.reconcile.difference import DELETING, FIXES, Difference, Mending
from cyclades.reconcile.look import Looks, Report, twice
from cyclades.store.database import Tx

DIFFERENCE = Resource(
    columns=("kind", "resource", "place", "recorded", "found", "mended_by"),
    more=("advice",),
    key=sa.column("kind"),
    read=lambda tx, settings, where: [],
)
_ENDS = """

    Without a flag it only reports. Ends with 0 if nothing differs, with 4 if something differs and is not mended, with
    1 if something did not answer or could not be mended."""
_FIX_ALL = "Mend all that can be mended without deleting anything, each in its first way."


def _fields(one: Difference) -> Fields:
    ways = [f"--fix-{mending.fix}" for mending in one.mendings]
    return {
        "kind": one.kind,
        "resource": one.resource,
        "place": one.place,
        "recorded": one.recorded,
        "found": one.found,
        "mended_by": ways if ways else "by hand",
        "advice": one.advice,
    }


def reconciling(
    name: str, text: str, looks: Callable[[World], Looks], fixes: Sequence[str], *, backends: bool = False
) -> Callable[..., None]:
    """The command of this name. `looks` is what it looks at, `backends`: these too."""

    def body(cloud: Cloud, **given: bool) -> int:
        wanted = [word for word in fixes if given[f"fix_{word.replace('-', '_')}"]]
        if given["fix_all"]:
            wanted += [word for word in fixes if word not in DELETING]
        report = asyncio.run(_look(cloud, looks, backends=backends))
        for place, reason in report.unseen.items():
            typer.echo(f"cyclades: {place} was not looked at: {reason}", err=True)
        code = _mend(cloud, report, wanted) if wanted else _show(cloud, report)
        return FAILED if report.unseen and code in (0, DIFFERS) else code

    flags = {"all": _FIX_ALL, **{word: FIXES[word] for word in fixes}}
    parameters = [inspect.Parameter("cloud", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [_flag(word, help_text) for word, help_text in flags.items()]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    body.__name__, body.__doc__ = name, text + _ENDS
    return command(DIFFERENCE, asks=True, waits=True)(body)


def _flag(word: str, help_text: str) -> inspect.Parameter:
    option = typer.Option(f"--fix-{word}", help=help_text)
    kind, name = inspect.Parameter.KEYWORD_ONLY, f"fix_{word.replace('-', '_')}"
    return inspect.Parameter(name, kind, default=False, annotation=Annotated[bool, option])


def _show(cloud: Cloud, report: Report) -> int:
    cloud.show_items([_fields(one) for one in report.differences])
    return DIFFERS if report.differences else 0


def _mend(cloud: Cloud, report: Report, wanted: Sequence[str]) -> int:
    chosen = [(one, mending) for one in report.differences if (mending := one.mending(wanted)) is not None]
    left = len(report.differences) - len(chosen)
    cloud.show_items([_fields(one) for one, _ in chosen])
    if not chosen:
        return DIFFERS if left else 0
    cloud.confirm("Mend what is listed here?", [_fields(one) for one, _ in chosen])
    refused: list[str] = []
    code = cloud.change(lambda tx: _accept(tx, cloud, chosen, refused), many=False)
    for reason in refused:
        typer.echo(f"cyclades: {reason}", err=True)
    if refused:
        return FAILED
    return code or (DIFFERS if left else 0)


def _accept(tx: Tx, cloud: Cloud, chosen: Sequence[tuple[Difference, Mending]], refused: list[str]) -> Sequence[str]:
    """What is refused keeps nothing else from being mended."""
    refused.clear()
    for one, mending in chosen:
        try:
            with tx.connection.begin_nested():
                mending.accept(tx, cloud.settings, cloud.caller)
        except Refusal as refusal:
            refused.append(f"{one.kind}, {one.resource}: {refusal.message}")
    return []


async def _look(cloud: Cloud, looks: Callable[[World], Looks], *, backends: bool) -> Report:
    async with reaching(cloud) as (world, closed):
        report = await twice(looks(world))
        return Report(report.differences, {**report.unseen, **(closed if backends else {})})
