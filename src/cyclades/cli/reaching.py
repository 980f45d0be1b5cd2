"""Pools and backends as an engine has them, for commands that look at them. Nobody listens to their news."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from cyclades.backends.base import Backend
from cyclades.cli.beside import Cloud
from cyclades.engine import world as assembly
from cyclades.engine.backends import cluster_backend
from cyclades.operations.base import World
from cyclades.security.keys import Keys, Unsealable
from cyclades.store import clusters


@asynccontextmanager
async def reaching(cloud: Cloud) -> AsyncIterator[tuple[World, Mapping[str, str]]]:
    """And why some clusters are not among them."""
    built, _ = assembly.build(cloud.settings, cloud.db)
    open_ones: dict[str, Backend] = dict(built.backends)
    closed: dict[str, str] = {}
    for row in cloud.db.read_now(clusters.every):
        if row.offline:
            closed[row.name] = "it is set offline"
            continue
        try:
            open_ones[row.name] = cluster_backend(cloud.db, Keys(cloud.settings.key_dir), row)
        except Unsealable as error:
            closed[row.name] = f"its password cannot be read ({error})"
    try:
        yield World(cloud.db, cloud.settings, built.pools, open_ones), closed
    finally:
        for backend in open_ones.values():
            await backend.close()
