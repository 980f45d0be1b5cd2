"""`cyclades flavor-create`"""

from __future__ import annotations

import itertools
from typing import Annotated

import typer

from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.flavors import FLAVOR
from cyclades.cli.options import pairs
from cyclades.model.names import check_name
from cyclades.operations.base import new_id
from cyclades.operations.server_disks import TYPE_SPEC
from cyclades.store import flavors, volume_types
from cyclades.store.database import Tx

_MOST = 2**31 - 1


@command(FLAVOR, changes=True)
def flavor_create(
    cloud: Cloud,
    cpu: Annotated[str, typer.Argument(metavar="CPU,...", help="Numbers of virtual CPUs.")],
    ram: Annotated[str, typer.Argument(metavar="RAM,...", help="MiB of memory.")],
    disk: Annotated[str, typer.Argument(metavar="DISK,...", help="GiB of root disks.")],
    volume_type: Annotated[
        str | None, typer.Argument(metavar="TYPE,...", help="Volume types of root disks. Default: the default type.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="If it is one. Without it: C1R512D20, and the type where one is named.")
    ] = None,
    spec: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Extra spec; repeatable.")] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Only for projects that are given access (`flavor-access-add`).")
    ] = False,
) -> int:
    """Create a flavor of every combination of these lists: all of them, or none.

    `cyclades flavor-create 1,2 512,2048 10,20 standard,fast` makes 16.
    """
    numbers = [_numbers(cpu, "CPU", least=1), _numbers(ram, "RAM", least=1), _numbers(disk, "DISK", least=0)]
    types: list[str | None] = [*_words(volume_type)] if volume_type else [None]
    combinations = list(itertools.product(itertools.product(*numbers), types))
    if name is not None and len(combinations) > 1:
        raise typer.BadParameter(f"{len(combinations)} flavors cannot have one name.", param_hint="--name")
    check_name(name)
    specs = pairs(spec or [], "--spec")
    ids = [new_id() for _ in combinations]

    def add(tx: Tx) -> list[str]:
        for flavor_id, ((vcpus, mebibytes, gibibytes), type_name) in zip(ids, combinations, strict=True):
            of_type = {} if type_name is None else {TYPE_SPEC: volume_types.find(tx, type_name, None).name}
            flavors.add(
                tx,
                flavor_id,
                name=name or f"C{vcpus}R{mebibytes}D{gibibytes}{type_name or ''}",
                vcpus=vcpus,
                ram=mebibytes,
                disk=gibibytes,
                is_public=not private,
                description=None,
                extra_specs=specs | of_type,
            )
        return ids

    return cloud.change(add, many=True)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",")))


def _numbers(text: str, what: str, *, least: int) -> list[int]:
    found = []
    for word in _words(text):
        if not word.isdecimal() or not least <= int(word) <= _MOST:
            raise typer.BadParameter(f"{word!r} is no number from {least} on.", param_hint=what)
        found.append(int(word))
    return found
