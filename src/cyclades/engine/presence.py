"""Processes say that they are there, and engines what their pools hold, so that no request has to ask them."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from functools import partial
from typing import Any

import structlog

from cyclades import __version__
from cyclades.backends.base import Backend, Capacity
from cyclades.model.errors import Fault
from cyclades.model.presence import SAID_EVERY
from cyclades.pools.base import Pool
from cyclades.store import backends, pools, services
from cyclades.store.database import Database

log = structlog.get_logger("cyclades.presence")


def own_id() -> str:
    """What a process calls itself."""
    return f"{socket.gethostname()}:{os.getpid()}:{random.getrandbits(32):08x}"


async def be_seen(db: Database, kind: str, service_id: str) -> None:
    """Until cancelled: the process then says that it ends."""
    say = partial(services.seen, service_id=service_id, host=socket.gethostname(), kind=kind, version=__version__)
    try:
        while True:
            try:
                await db.write(say)
            except Exception:
                log.exception("presence.service")
            await asyncio.sleep(SAID_EVERY)
    finally:
        await db.write(partial(services.forget, service_id=service_id))


async def report(db: Database, pool: Pool) -> None:
    """What a pool holds, until cancelled. One that does not answer is not reported, and so counts as down."""
    while True:
        try:
            usage = await pool.usage()
            bytes_of = partial(pools.report, total=usage.total, free=usage.free, promised=usage.promised)
            await db.write(partial(bytes_of, name=pool.name, engine=pool.engine))
        except Exception:
            log.exception("presence.pool", pool=pool.name)
        await asyncio.sleep(SAID_EVERY)


async def report_backend(db: Database, backend: Backend, *, has_pools: bool = False) -> None:
    """What a backend has for servers, until cancelled. `has_pools`: its servers may have disks of pools."""
    while True:
        try:
            await look_at_backend(db, backend, has_pools=has_pools)
        except Exception:
            log.exception("presence.backend", backend=backend.name)
        await asyncio.sleep(SAID_EVERY)


async def look_at_backend(db: Database, backend: Backend, *, has_pools: bool) -> None:
    """Write what it has now. Of one that does not answer is written why, and it soon counts as down."""
    try:
        found = await backend.capacity()
    except Fault as fault:
        log.warning("presence.backend", backend=backend.name, reason=str(fault))
        await db.write(partial(backends.report_problem, name=backend.name, kind=backend.kind, problem=str(fault)))
        return
    say = partial(backends.report, name=backend.name, kind=backend.kind, **as_reported(found, has_pools=has_pools))
    await db.write(say)


def as_reported(found: Capacity, *, has_pools: bool) -> dict[str, Any]:
    """What a backend has, as values for its row."""
    major, minor, micro = found.version
    return {
        "vcpus": found.vcpus,
        "memory": found.memory,
        "program": found.program,
        "version": major * 1_000_000 + minor * 1_000 + micro,
        "booted_at": found.booted_at,
        "memory_free": found.memory_free,
        "disk_free": found.disk_free,
        "disk_templates": list(found.disk_templates),
        "problem": found.refuses_pools if has_pools else None,
    }
