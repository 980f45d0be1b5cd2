"""Layers as files and rows together: what the verbs of a pool are built from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Row

from cyclades import flocks, threads
from cyclades.model.errors import Failed, Passing
from cyclades.pools.base import Blockdev
from cyclades.pools.qcow2.files import LayerFiles, storage_faults
from cyclades.store import layers as rows
from cyclades.store.database import Database, Tx

P = ParamSpec("P")
T = TypeVar("T")

_CHAIN_TRIES = 10


@dataclass(frozen=True)
class Layers:
    pool: str
    db: Database
    files: LayerFiles

    def path(self, layer: Row[Any]) -> Path:
        return self.files.path(layer.id, layer.format)

    def head(self, disk: Row[Any]) -> Path:
        return self.files.path(disk.layer_id, disk.format)

    def hold_disk(
        self, name: str, *, shared: bool = False, patience: float = flocks.PATIENCE
    ) -> AbstractAsyncContextManager[int]:
        return flocks.hold(self.files.disk_lock(name), shared=shared, patience=patience)

    def hold_layer(
        self, layer_id: str, *, shared: bool = False, patience: float = flocks.PATIENCE
    ) -> AbstractAsyncContextManager[int]:
        """Shared by whoever opens the file with what lies below it; alone for whoever changes what lies below."""
        return flocks.hold(self.files.layer_lock(layer_id), shared=shared, patience=patience)

    async def hold_chain(self, held: AsyncExitStack, layer_id: str) -> tuple[list[Path], list[int]]:
        """Keep the layers from this one down as they are while `held` is open. Their files, the top first, and
        the locks."""
        for _ in range(_CHAIN_TRIES):
            chain = await self.db.read(lambda tx: rows.chain(tx, layer_id))
            async with AsyncExitStack() as stack:
                fds = [await stack.enter_async_context(self.hold_layer(row.id, shared=True)) for row in chain]
                again = await self.db.read(lambda tx: rows.chain(tx, layer_id))
                if [row.id for row in chain] == [row.id for row in again]:
                    held.push_async_exit(stack.pop_all())
                    return [self.path(row) for row in chain], fds
        raise Passing("The disk's layers are being merged.")

    async def find(self, name: str) -> Row[Any] | None:
        return await self.db.read(lambda tx: rows.find(tx, self.pool, name))

    async def volume(self, name: str) -> Row[Any]:
        """A disk that is written to, and whole."""
        row = await self.find(name)
        if row is None or not row.written or row.state != "live":
            raise Failed(f"The pool has no volume {name}.")
        return row

    async def make(self, layer_id: str) -> Path:
        """The file of a planned layer, empty; kept if it is there."""
        layer, below = await self.db.read(lambda tx: _with_parent(tx, layer_id))
        path = self.path(layer)
        await in_thread(self.files.make_empty, path, layer.size, None if below is None else self.path(below))
        return path

    async def drop(self, layer_id: str) -> None:
        """Take away a layer in state `removing`. Repeatable from any point."""
        layer = await self.db.read(lambda tx: rows.get(tx, layer_id))
        if layer is not None:
            await in_thread(self.files.remove, self.path(layer))
            flocks.forget(self.files.layer_lock(layer_id))
            await self.db.write(lambda tx: rows.remove(tx, layer_id))


def _with_parent(tx: Tx, layer_id: str) -> tuple[Row[Any], Row[Any] | None]:
    layer = rows.get(tx, layer_id)
    if layer is None:
        raise Failed("The disk was deleted.")
    return layer, None if layer.parent_id is None else rows.get(tx, layer.parent_id)


def blockdev(path: Path) -> Blockdev:
    """How a QEMU opens a layer, with those below it by the names in the files."""
    return {"driver": "qcow2", "file": {"driver": "file", "filename": str(path)}}


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks on the pool's storage, whose refusals are faults of the pool."""
    with storage_faults():
        return await threads.in_thread(function, *args, **kwargs)
