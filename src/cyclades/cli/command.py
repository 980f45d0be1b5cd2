"""How a function becomes a command: what all commands have in common is added here.

The function gets a `Cloud` first, and its own arguments and options; it returns its exit code (None: 0).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.options import ConfigFile, Data, DryRun, OnlyFields, Output, Wait, Yes, settings_from
from cyclades.cli.output import Format
from cyclades.cli.refused import refusals_told
from cyclades.cli.resource import Resource

_Body = Callable[..., int | None]


def command(
    resource: Resource, *, changes: bool = False, asks: bool = False, waits: bool = False
) -> Callable[[_Body], Callable[..., None]]:
    """A command that shows things of this kind. `changes`: it has --dry-run; `asks`: and --yes; `waits`: and --wait."""
    common: dict[str, tuple[Any, Any]] = {}
    if waits:
        common["wait"] = Wait, False
    if asks:
        common["yes"] = Yes, False
    if changes or asks or waits:
        common["dry_run"] = DryRun, False
    everywhere = {
        "form": (Output, Format.TABLE),
        "fields": (OnlyFields, None),
        "data": (Data, None),
        "config": (ConfigFile, None),
    }

    def made(body: _Body) -> Callable[..., None]:
        @wraps(body)
        def run(*, form: Format, fields: str | None, data: Path | None, config: Path | None, **given: Any) -> None:
            said = {name: given.pop(name) for name in common}
            with refusals_told(), ExitStack() as held:
                only = _checked(fields, resource)
                settings = settings_from(config, data)
                code = body(Cloud(held, settings, resource, form=form, fields=only, config=config, **said), **given)
            raise typer.Exit(code or 0)

        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in (common | everywhere).items()
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        run.__signature__ = inspect.Signature(own + added)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in own + added}
        return run

    return made


def _checked(fields: str | None, resource: Resource) -> tuple[str, ...]:
    """Before anything is done: what is printed last is not the place to find a typing error."""
    names = tuple(name.strip() for name in fields.split(",")) if fields is not None else ()
    for name in names:
        if name not in resource.fields:
            text = f"{name!r} is none of {', '.join(resource.fields)}."
            raise typer.BadParameter(text, param_hint="--fields")
    return names
