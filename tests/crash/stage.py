"""A small real cloud for one test: a database, a qcow2 pool, QEMUs on this machine. No guest boots in them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cyclades.config import PoolSettings, Settings, load
from cyclades.engine import world as assembly
from cyclades.engine.audit import differences
from cyclades.engine.engine import Engine, Watch
from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.capabilities import POOL_SPEC
from cyclades.model.units import MIB
from cyclades.operations import image_delete, server_delete, snapshot_delete, volume_delete
from cyclades.operations.base import World, new_id
from cyclades.store import operations as rows
from cyclades.store import quotas, schema, volume_types
from cyclades.store.database import Database, Tx

PROJECT = "0" * 32
OTHER_POOL = "other"  # beside the default one
SAME_POOL_TYPE, OTHER_POOL_TYPE = "same-pool", "other-pool"  # volume types, beside the default one
LIMIT = 120.0  # seconds that anything may take before a test gives up


class Stage:
    """What a scenario works with."""

    def __init__(self, db: Database, settings: Settings, world: World) -> None:
        self.db, self.settings, self.world = db, settings, world
        self.caller = Caller("1" * 32, PROJECT, frozenset({"admin", "member"}), "req-test")

    async def settle(self, watch: Watch | None = None) -> None:
        """Run an engine until no operation is open."""
        engine = Engine(self.world, alone=True, first_pause=0.005, watch=watch)
        running = asyncio.create_task(engine.run())
        try:
            async with asyncio.timeout(LIMIT):
                await self.until_ended(running)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def until_ended(self, *engines: asyncio.Task[None]) -> None:
        """Wait until no operation is open, or raise what an engine died of."""
        ended = asyncio.Event()
        stop = self.db.listen("ended", ended.set)
        try:
            while await self.db.read(rows.open_ones):
                waiting = asyncio.create_task(ended.wait())
                await asyncio.wait([waiting, *engines], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                for engine in engines:
                    if engine.done():
                        await engine
                ended.clear()
        finally:
            stop()

    async def do(self, change: Any) -> Any:
        """Accept something and bring it to its end."""
        result = await self.db.write(change)
        await self.settle()
        return result

    async def operation(self, op_id: str) -> Any:
        row = await self.db.read(lambda tx: rows.get(tx, op_id))
        assert row is not None
        return row

    async def one(self, table: sa.Table, row_id: str) -> Any:
        return await self.db.read(lambda tx: tx.execute(sa.select(table).where(table.c.id == row_id)).one())

    async def latest_operation(self, kind: str | None = None) -> str:
        """The one that is open, of this kind if there are several."""
        query = sa.select(schema.operation.c.id).where(schema.operation.c.ended_at.is_(None))
        if kind is not None:
            query = query.where(schema.operation.c.kind == kind)
        return await self.db.read(lambda tx: tx.execute(query).scalar_one())

    async def add_image(self, *, size: int = MIB) -> str:
        """An active raw image of `size` bytes, as an upload would have left it."""
        image_id = new_id()
        content = bytes(range(256)) * (size // 256)
        (self.settings.image_dir / image_id).write_bytes(content)

        def add(tx: Tx) -> None:
            tx.execute(
                schema.image.insert().values(
                    id=image_id,
                    project_id=PROJECT,
                    name="small",
                    status="active",
                    visibility="shared",
                    container_format="bare",
                    disk_format="raw",
                    size=size,
                    virtual_size=size,
                    file=image_id,
                    checksum=hashlib.md5(content, usedforsecurity=False).hexdigest(),
                    os_hash_value=hashlib.sha512(content).hexdigest(),
                    created_at=schema.now(),
                )
            )
            quotas.take(tx, self.settings.quotas, PROJECT, {quota.IMAGES: 1, **quota.of_image(size)})

        await self.db.write(add)
        return image_id

    async def differences(self) -> list[str]:
        return [f"{found.resource} {found.text}" for found in await differences(self.world)]

    async def clear(self) -> None:
        """Delete everything as its owner would, and check that nothing is left anywhere."""
        steps: list[tuple[sa.Table, Any]] = [
            (schema.server, server_delete.start),
            (schema.snapshot, snapshot_delete.start),
            (schema.volume, volume_delete.start),
            (schema.image, image_delete.start),
        ]
        for table, start in steps:
            alive = sa.select(table.c.id).where(table.c.deleted_at.is_(None))
            for row_id in await self.db.read(lambda tx, alive=alive: list(tx.execute(alive).scalars())):  # type: ignore[misc]
                await self.db.write(lambda tx, start=start, row_id=row_id: start(tx, self.caller, row_id))  # type: ignore[misc]
            await self.settle()
            assert await self.db.read(lambda tx, alive=alive: list(tx.execute(alive).scalars())) == []  # type: ignore[misc]
        assert await self.differences() == []
        usage = await self.db.read(lambda tx: quotas.usage(tx, PROJECT))
        assert not any(usage.values()), usage
        directories = [self.settings.pool_directory(pool) for pool in self.settings.pools if pool.engine == "qcow2"]
        for directory in directories:
            for file in (directory / "incoming").iterdir():
                file.unlink()
        for pool in self.world.own_pools.values():
            for found in await pool.adoptable():
                await pool.delete(found.name)  # what was let go of
            assert await pool.disks() == []
            left = await pool.tidy()
            assert left == [], left
        assert [
            path
            for directory in directories
            for path in directory.rglob("*")
            if path.is_file() and path.suffix in (".qcow2", ".raw")
        ] == []
        assert list(self.settings.image_dir.iterdir()) == []
        for backend in self.world.backends.values():
            assert await backend.servers() == []


@contextlib.asynccontextmanager
async def stage(
    db: Database, directory: Path, pools: Sequence[PoolSettings] = (PoolSettings("local"), PoolSettings(OTHER_POOL))
) -> AsyncIterator[Stage]:
    """An empty stage in `directory`; whatever runs at the end is switched off."""
    url = db.url.render_as_string(hide_password=False)
    # No guest is there to answer.
    settings = load(None, {}, data=str(directory), database__url=url, compute__stop_seconds=0.1)
    settings.backends[0].accelerator = "tcg"
    settings.pools = tuple(pools)
    world, _ = assembly.build(settings, db)
    for backend in world.backends.values():
        await backend.open()

    def add_types(tx: Tx) -> None:
        public = {"is_public": True, "extra_specs": {}}
        volume_types.add(tx, new_id(), name="standard", is_default=True, **public)
        volume_types.add(tx, new_id(), name=SAME_POOL_TYPE, is_default=False, **public)
        specs = {POOL_SPEC: OTHER_POOL}
        volume_types.add(tx, new_id(), name=OTHER_POOL_TYPE, is_default=False, **public | {"extra_specs": specs})

    await db.write(add_types)
    try:
        yield Stage(db, settings, world)
    finally:
        for backend in world.backends.values():
            for server in await backend.servers():
                await backend.delete(server.server_id)
            await backend.close()
