"""Looks at the whole cloud now and then, by one engine at a time, and when told. It only reports."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import structlog

from cyclades.operations.base import World
from cyclades.reconcile.look import SECOND_LOOK, Report, at_pools, at_quotas, at_servers, twice
from cyclades.store import differences

SIGNAL = "reconcile"  # look now
_LEASE = 600.0  # seconds after which another engine looks, if this one has died
_EVERY = 60.0  # seconds between looks at the clock, at most

log = structlog.get_logger("cyclades.reconcile")


async def keep_looking(world: World, owner: str) -> None:
    """Until cancelled; `owner` is the engine's own id."""
    seconds = world.settings.engine.reconcile_seconds
    told = asyncio.Event()
    stop_listening = world.db.listen(SIGNAL, told.set)
    try:
        while True:
            # With no schedule, or just after a look, only who is told looks.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, _EVERY) or None):
                    await told.wait()
            every = 0.0 if told.is_set() else seconds
            told.clear()
            try:
                await look_if_due(world, owner, every=every)
            except Exception:
                log.exception("reconcile.unexpected")
    finally:
        stop_listening()


async def look_if_due(world: World, owner: str, *, every: float, pause: float = SECOND_LOOK) -> bool:
    """Look, and write what differs; False if another engine does, or the last look ended less than `every` seconds
    ago."""
    turn = partial(differences.take_turn, owner=owner, lease=int(_LEASE * 1e6), every=int(every * 1e6))
    if not await world.db.write(turn):
        return False
    at = (at_servers(world), at_pools(world), at_quotas(world))
    places = {place for looks in at for place in looks}
    parts = [await twice(looks, pause=pause) for looks in at]
    found = tuple(one for part in parts for one in part.differences)
    whole = Report(found, {place: reason for part in parts for place, reason in part.unseen.items()})
    for one in whole.differences:
        log.warning(
            "difference", kind=one.kind, resource=one.resource, place=one.place, recorded=one.recorded, found=one.found
        )
    for place, reason in whole.unseen.items():
        log.warning("reconcile.unseen", place=place, reason=reason)
    rows = [
        {
            "kind": one.kind,
            "resource": one.resource,
            "place": one.place,
            "recorded": one.recorded,
            "found": one.found,
            "advice": one.advice,
            "fixes": [mending.fix for mending in one.mendings],
        }
        for one in whole.differences
    ]
    return await world.db.write(lambda tx: differences.report(tx, owner, rows, whole.unseen, places))
