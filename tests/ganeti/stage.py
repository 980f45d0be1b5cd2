"""A cloud for one test on the real clusters: a database, a pool that their nodes share, and both as backends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from msgspec import to_builtins
from tests.crash.stage import LIMIT, Stage
from tests.ganeti import configuration, place
from tests.ganeti.cell import Cell
from tests.ganeti.cells import Cells

from cyclades.backends.ganeti import GanetiOptions
from cyclades.config import PoolSettings, ProviderSettings, load
from cyclades.engine import presence
from cyclades.engine import world as assembly
from cyclades.engine.backends import cluster_backend
from cyclades.model.capabilities import PARAMETER_SPECS, POOL_SPEC, PROVIDER_SPEC, TEMPLATE_SPEC
from cyclades.operations.base import new_id
from cyclades.security.keys import Keys
from cyclades.store import clusters, volume_types
from cyclades.store.database import Database, Tx

POOL, OTHER_POOL = "shared", "other"  # the second has a volume type of its name
TEMPLATES = ("sharedfile", "file", "plain", "drbd")  # volume types of these names, beside the default one of the pool
LABEL = "by a type"  # which types of another provider have for it

__all__ = ["LABEL", "LIMIT", "OTHER_POOL", "POOL", "TEMPLATES", "GanetiStage", "ganeti_stage"]


class GanetiStage(Stage):
    """`cells` are its clusters, by the names of their backends; `found` are disks that they knew of before."""

    cells: dict[str, Cell]
    found: dict[str, list[str]]

    async def clear(self) -> None:
        """Besides: nothing is left in what the clusters know."""
        await super().clear()
        for cell in self.cells.values():
            left = disks_in_config(cell)
            assert left == self.found[cell.name], left


def disks_in_config(cell: Cell) -> list[str]:
    """The names of all disks that a cluster knows of, also of those that no instance has: nothing else lists them."""
    return [str(disk.get("name")) for disk in configuration.read(cell)["disks"].values()]


@contextlib.asynccontextmanager
async def ganeti_stage(
    db: Database,
    directory: Path,
    cells: Cells,
    *,
    hypervisor: str = "fake",
    providers: tuple[ProviderSettings, ...] = (),
    **hvparams: Any,
) -> AsyncIterator[GanetiStage]:
    """An empty one in `directory`. With the hypervisor `fake` no guest runs, and all else is as ever. Each of
    `providers`, which the nodes have to have, gets a volume type of its name."""
    pools = {name: place.clear(cells.shared / f"pool-{name}") for name in (POOL, OTHER_POOL)}
    url = db.url.render_as_string(hide_password=False)
    settings = load(None, {}, data=str(directory), database__url=url, compute__stop_seconds=0.1)
    settings.pools = tuple(PoolSettings(name, directory=pool) for name, pool in pools.items())
    settings.backends, settings.providers = (), providers
    world, backends = assembly.build(settings, db)
    keys = Keys(settings.key_dir)
    names = tuple(provider.name for provider in providers)
    how: dict[str, Any] = {"hypervisor": hypervisor, "hvparams": hvparams, "providers": names}
    options = to_builtins(GanetiOptions(domain=place.DOMAIN, os=place.OS, look_seconds=0.5, **how))

    def add(tx: Tx) -> None:
        public = {"is_public": True, "is_default": False}
        volume_types.add(tx, new_id(), name="standard", **public | {"is_default": True, "extra_specs": {}})
        volume_types.add(tx, new_id(), name=OTHER_POOL, **public, extra_specs={POOL_SPEC: OTHER_POOL})
        for template in TEMPLATES:
            volume_types.add(tx, new_id(), name=template, **public, extra_specs={TEMPLATE_SPEC: template})
        for name in names:
            specs = {PROVIDER_SPEC: name, f"{PARAMETER_SPECS}label": LABEL}
            volume_types.add(tx, new_id(), name=name, **public, extra_specs=specs)
        for cell in cells.clusters:
            access = place.access_of(cell)
            sealed = keys.seal(access.password.encode(), clusters.sealed_as(cell.name))
            values = {"url": access.url, "user": access.user, "certificate": access.certificate, "password": sealed}
            clusters.add(tx, cell.name, **values, pools=list(pools), options=options)

    await db.write(add)
    async with contextlib.AsyncExitStack() as held:
        for cell in cells.clusters:
            place.install(cell, pools, directory)
            row = await db.read(lambda tx, cell=cell: clusters.get(tx, cell.name))  # type: ignore[misc]
            backend = cluster_backend(db, keys, row)
            await held.enter_async_context(backends.having(backend))
            await presence.look_at_backend(db, backend, has_pools=True)
        stage = GanetiStage(db, settings, world)
        stage.cells = {cell.name: cell for cell in cells.clusters}
        stage.found = {cell.name: disks_in_config(cell) for cell in cells.clusters}
        try:
            yield stage
        finally:
            for cell in cells.clusters:
                _sweep(cell)


def _sweep(cell: Cell) -> None:
    """Whatever instances a test has left."""
    names = cell.run("gnt-instance", "list", "--no-headers", "-o", "name").split()
    for name in names:
        cell.run("gnt-instance", "remove", "--force", "--shutdown-timeout=0", name)
