"""A look at a cloud. What is seen counts once a second look has seen it again: things move while one looks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from cyclades.model.errors import Fault
from cyclades.operations.base import World
from cyclades.reconcile import pools, quotas, rows, servers
from cyclades.reconcile.difference import Difference

SECOND_LOOK = 2.0  # seconds after the first

# By what is looked at, for people.
Looks = Mapping[str, Callable[[], Awaitable[list[Difference]]]]


@dataclass(frozen=True)
class Report:
    """`unseen` are the places that did not answer, and why."""

    differences: tuple[Difference, ...]
    unseen: Mapping[str, str]


def at_servers(world: World) -> Looks:
    looks = {name: partial(servers.look, world, backend) for name, backend in world.backends.items()}
    return {"database": partial(rows.look, world, rows.OF_SERVERS), **looks}


def at_pools(world: World) -> Looks:
    looks = {name: partial(pools.look, world, pool) for name, pool in world.own_pools.items()}
    return {"database": partial(rows.look, world, rows.OF_VOLUMES), **looks}


def at_quotas(world: World) -> Looks:
    return {"database": partial(quotas.look, world)}


async def twice(looks: Looks, *, pause: float = SECOND_LOOK) -> Report:
    """`pause` is the seconds between the two looks; there is one look where it finds nothing."""
    first = await _once(looks)
    again = {place: look for place, look in looks.items() if any(one for one in first[0].get(place, ()))}
    if not again:
        return Report((), first[1])
    await asyncio.sleep(pause)
    second = await _once(again)
    found = [one for place, differences in second[0].items() for one in differences if one in first[0].get(place, ())]
    return Report(tuple(found), {**first[1], **second[1]})


async def _once(looks: Looks) -> tuple[dict[str, list[Difference]], dict[str, str]]:
    found, unseen = {}, {}
    for place, look in looks.items():
        try:
            found[place] = await look()
        except Fault as fault:
            unseen[place] = str(fault)
    return found, unseen
