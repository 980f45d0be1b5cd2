"""Whatever gets lost on the way, or dies, a job is done once: on a real cluster, behind a proxy that loses things."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backends.ganeti.trail import KeptTrail
from tests.backends.ground import Ground
from tests.ganeti.cell import Cell
from tests.ganeti.place import GanetiPlace
from tests.ganeti.proxy import Lost, Proxy
from tests.ganeti.rapi import Rapi

from cyclades.model.errors import Away
from cyclades.store.database import Database

LIMIT = 180.0  # seconds


class Died(Exception):
    """The engine was killed."""


class DyingTrail(KeptTrail):
    """The engine dies when it is to keep the id of a job, for the first time; `id_kept`: just after that."""

    def __init__(self, mark: str, *, id_kept: bool) -> None:
        super().__init__(mark)
        self._id_kept = id_kept
        self.deaths: list[str] = []

    async def keep(self, what: str, job: str | None) -> None:
        dies = job not in (None, "asked") and what not in self.deaths
        if self._id_kept or not dies:
            await super().keep(what, job)
        if dies:
            self.deaths.append(what)
            raise Died


@pytest.fixture
async def proxy(c1: Cell, tmp_path: Path) -> AsyncIterator[Proxy]:
    (tmp_path / "proxy").mkdir()
    async with Proxy(c1, tmp_path / "proxy").open() as proxy:
        yield proxy


@pytest.fixture
async def lossy(proxy: Proxy, place: GanetiPlace, database: Database, no_guests: Ground) -> AsyncIterator[Ground]:
    """The ground of `no_guests`, reached through the proxy."""
    access = msgspec.structs.replace(proxy.access)
    behind = GanetiPlace(place.backend, access, {}, place.pool_directory, place.database_url)
    backend = behind.twin(database, hypervisor="fake", hvparams={})
    yield Ground(backend, no_guests.pool, card=True, memory=no_guests.memory, size=no_guests.size)
    await backend.close()


def jobs_of(rapi: Rapi, trail: KeptTrail) -> Counter[str]:
    """How many jobs each request of the step has begun, by its word."""
    found: Counter[str] = Counter()
    for job in rapi.ask("GET", "/jobs", bulk=1):
        for op in job["ops"]:
            found.update(entry[1].removeprefix(f"{trail.mark}:") for entry in op["reason"] if trail.mark in entry[1])
    return found


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_each_job_is_done_once_although_it_gets_lost(
    lossy: Ground, proxy: Proxy, rapi1: Rapi, lost: Lost
) -> None:
    spec, volume_id = await lossy.spec(), await lossy.volume()
    plug = await lossy.plug(spec.server_id, volume_id, 1)

    async def persistently(verb: str, *args: Any, **named: Any) -> None:
        """The next job gets lost, and the step is tried again."""
        trail, proxy.loses = KeptTrail(f"cyclades:{spec.server_id}:{verb}:do"), lost
        with pytest.raises(Away):
            await getattr(lossy.backend, verb)(*args, **named, trail=trail)
        proxy.loses = None
        await getattr(lossy.backend, verb)(*args, **named, trail=trail)
        done = jobs_of(rapi1, trail)
        assert done
        assert set(done.values()) == {1}, done

    await persistently("start", spec)
    assert (await lossy.seen(spec.server_id))[0] == "running"
    await persistently("stop", spec.server_id, patience=0)
    await persistently("plug", spec.server_id, plug)
    assert (await lossy.seen(spec.server_id))[1][volume_id] == (1, 1)
    await persistently("unplug", spec.server_id, volume_id, 1, patience=0)
    assert volume_id not in (await lossy.seen(spec.server_id))[1]
    await persistently("delete", spec.server_id)
    assert (await lossy.seen(spec.server_id)) == ("missing", {})


@pytest.mark.parametrize("id_kept", [False, True])
async def test_each_job_is_done_once_although_the_engine_dies(no_guests: Ground, rapi1: Rapi, id_kept: bool) -> None:
    spec, volume_id = await no_guests.spec(), await no_guests.volume()
    plug = await no_guests.plug(spec.server_id, volume_id, 1)

    async def persistently(verb: str, *args: Any, **named: Any) -> None:
        """It dies after each job, and another engine goes on."""
        trail = DyingTrail(f"cyclades:{spec.server_id}:{verb}:do", id_kept=id_kept)
        async with asyncio.timeout(LIMIT):
            while True:
                try:
                    await getattr(no_guests.backend, verb)(*args, **named, trail=trail)
                    break
                except Died:
                    pass
        done = jobs_of(rapi1, trail)
        assert done.keys() == set(trail.deaths)
        assert set(done.values()) == {1}, done

    await persistently("start", spec)
    assert (await no_guests.seen(spec.server_id))[0] == "running"
    await persistently("stop", spec.server_id, patience=0)
    await persistently("plug", spec.server_id, plug)
    assert (await no_guests.seen(spec.server_id))[1][volume_id] == (1, 1)
    await persistently("unplug", spec.server_id, volume_id, 1, patience=0)
    await persistently("delete", spec.server_id)
    assert (await no_guests.seen(spec.server_id)) == ("missing", {})


class Abandoned(KeptTrail):
    """Of a step that is given up as soon as its job is sent: nobody waits for that."""

    async def keep(self, what: str, job: str | None) -> None:
        await super().keep(what, job)
        if job not in (None, "asked"):
            raise Died


async def test_what_goes_back_waits_for_what_was_sent(no_guests: Ground) -> None:
    """The undo of a step has a trail of its own."""
    spec, volume_id = await no_guests.spec(), await no_guests.volume()
    with pytest.raises(Died):
        await no_guests.backend.start(spec, trail=Abandoned())
    await no_guests.backend.delete(spec.server_id)
    assert await no_guests.seen(spec.server_id) == ("missing", {})

    other = await no_guests.spec()
    await no_guests.backend.start(other)
    await no_guests.backend.stop(other.server_id, patience=0)
    plug = await no_guests.plug(other.server_id, volume_id, 1)
    with pytest.raises(Died):
        await no_guests.backend.plug(other.server_id, plug, trail=Abandoned())
    await no_guests.backend.unplug(other.server_id, volume_id, 1, patience=0)
    assert volume_id not in (await no_guests.seen(other.server_id))[1]
