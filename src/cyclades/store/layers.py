"""The books of qcow2 pools: layers, and the names that stand for them.

A layer is named while a disk has it as `layer_id`. While a snapshot is half done, its name and the volume's
stand for the same layer, and the volume's `next_layer_id` is the one that the volume goes to.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.store.database import Tx
from cyclades.store.schema import layer, now, pool_disk

_other = pool_disk.alias("other")
_HALF = sa.exists().where(_other.c.layer_id == pool_disk.c.layer_id, _other.c.written, ~pool_disk.c.written)
_DISK = sa.select(
    pool_disk.c.name,
    pool_disk.c.layer_id,
    pool_disk.c.written,
    pool_disk.c.snapshot_of,
    pool_disk.c.next_layer_id,
    pool_disk.c.owner,
    pool_disk.c.generation,
    layer.c.parent_id,
    layer.c.size,
    layer.c.format,
    layer.c.state,
    _HALF.label("half"),  # a snapshot whose volume did not let go of the layer yet
).join(layer, layer.c.id == pool_disk.c.layer_id)


def _chain() -> sa.Select[Any]:
    steps = sa.select(layer.c.id, layer.c.parent_id, sa.literal(0).label("height"))
    walk = steps.where(layer.c.id == sa.bindparam("id")).cte("walk", recursive=True)
    below = sa.select(layer.c.id, layer.c.parent_id, walk.c.height + 1).join(walk, layer.c.id == walk.c.parent_id)
    walk = walk.union_all(below)
    return sa.select(layer).join(walk, walk.c.id == layer.c.id).order_by(walk.c.height)


_CHAIN = _chain()
_BY_ID = sa.select(layer).where(layer.c.id == sa.bindparam("id"))
_FIND = _DISK.where(pool_disk.c.pool == sa.bindparam("pool"), pool_disk.c.name == sa.bindparam("name"))


def find(tx: Tx, pool: str, name: str) -> Row[Any] | None:
    """A disk with its layer."""
    return tx.execute(_FIND, {"pool": pool, "name": name}).one_or_none()


def disks(tx: Tx, pool: str) -> list[Row[Any]]:
    return list(tx.execute(_DISK.where(pool_disk.c.pool == pool)).all())


def layers(tx: Tx, pool: str) -> dict[str, Row[Any]]:
    """All layers of a pool, by id."""
    return {row.id: row for row in tx.execute(sa.select(layer).where(layer.c.pool == pool))}


def volume_of(tx: Tx, layer_id: str) -> Row[Any] | None:
    """The volume that writes to this layer."""
    return tx.execute(_DISK.where(pool_disk.c.layer_id == layer_id, pool_disk.c.written)).one_or_none()


def promised(tx: Tx, pool: str) -> int:
    """Bytes that the volumes would take if they were full."""
    total = sa.select(sa.func.sum(layer.c.size)).join(pool_disk, pool_disk.c.layer_id == layer.c.id)
    return int(tx.execute(total.where(pool_disk.c.pool == pool, pool_disk.c.written)).scalar() or 0)


def get(tx: Tx, layer_id: str) -> Row[Any] | None:
    return tx.execute(_BY_ID, {"id": layer_id}).one_or_none()


def hold(tx: Tx, layer_id: str) -> Row[Any] | None:
    """`get`, and nobody else adds a child to the layer or takes it away before this transaction ends."""
    return tx.execute(sa.select(layer).where(layer.c.id == layer_id).with_for_update()).one_or_none()


def chain(tx: Tx, layer_id: str) -> list[Row[Any]]:
    """A layer and those below it, the top first."""
    return list(tx.execute(_CHAIN, {"id": layer_id}).all())


def children(tx: Tx, layer_id: str) -> list[Row[Any]]:
    return list(tx.execute(sa.select(layer).where(layer.c.parent_id == layer_id)).all())


def is_named(tx: Tx, layer_id: str) -> bool:
    return tx.execute(sa.select(pool_disk.c.name).where(pool_disk.c.layer_id == layer_id).limit(1)).first() is not None


def ids(tx: Tx, pool: str, state: str | None = None) -> set[str]:
    """All layers, or those in one state."""
    found = sa.select(layer.c.id).where(layer.c.pool == pool)
    return set(tx.execute(found if state is None else found.where(layer.c.state == state)).scalars())


def loose(tx: Tx, pool: str, *, most_children: int) -> list[str]:
    """Whole layers that no name stands for and that have no more children than this."""
    child = layer.alias("child")
    count = sa.select(sa.func.count()).where(child.c.parent_id == layer.c.id).scalar_subquery()
    named = sa.exists().where(pool_disk.c.layer_id == layer.c.id)
    found = sa.select(layer.c.id).where(layer.c.pool == pool, layer.c.state == "live", ~named, count <= most_children)
    return list(tx.execute(found).scalars())


def add(
    tx: Tx, pool: str, layer_id: str, *, size: int, parent_id: str | None = None, file_format: str = "qcow2"
) -> None:
    """A layer whose file is to be made."""
    values = {"id": layer_id, "pool": pool, "parent_id": parent_id, "size": size, "format": file_format}
    tx.execute(layer.insert(), {**values, "state": "making", "created_at": now()})


def add_disk(tx: Tx, pool: str, name: str, layer_id: str, *, written: bool, snapshot_of: str | None = None) -> None:
    values = {"pool": pool, "name": name, "layer_id": layer_id, "written": written, "snapshot_of": snapshot_of}
    tx.execute(pool_disk.insert(), {**values, "generation": 0})


def change(tx: Tx, layer_id: str, **values: Any) -> None:
    tx.execute(layer.update().where(layer.c.id == layer_id).values(**values))


def change_disk(tx: Tx, pool: str, name: str, **values: Any) -> None:
    tx.execute(pool_disk.update().where(pool_disk.c.pool == pool, pool_disk.c.name == name).values(**values))


def rename_disk(tx: Tx, pool: str, name: str, new: str) -> None:
    """Its snapshots know it by the new name, too."""
    mine = pool_disk.c.pool == pool
    tx.execute(pool_disk.update().where(mine, pool_disk.c.name == name).values(name=new, generation=0))
    tx.execute(pool_disk.update().where(mine, pool_disk.c.snapshot_of == name).values(snapshot_of=new))


def remove(tx: Tx, layer_id: str) -> None:
    tx.execute(layer.delete().where(layer.c.id == layer_id))


def remove_disk(tx: Tx, pool: str, name: str) -> None:
    tx.execute(pool_disk.delete().where(pool_disk.c.pool == pool, pool_disk.c.name == name))


def claim(tx: Tx, pool: str, name: str, owner: str, generation: int) -> bool:
    """Compare-and-swap; False if another owns the disk, or a newer generation was seen."""
    free = sa.or_(pool_disk.c.owner.is_(None), pool_disk.c.owner == owner)
    return _swap(tx, pool, name, free, generation, owner)


def release(tx: Tx, pool: str, name: str, owner: str, generation: int) -> bool:
    return _swap(tx, pool, name, pool_disk.c.owner == owner, generation, None)


def _swap(tx: Tx, pool: str, name: str, mine: sa.ColumnElement[bool], generation: int, owner: str | None) -> bool:
    changed = tx.execute(
        pool_disk.update()
        .where(pool_disk.c.pool == pool, pool_disk.c.name == name, mine, pool_disk.c.generation <= generation)
        .values(owner=owner, generation=generation)
    )
    return changed.rowcount == 1


def remove_frozen_names(tx: Tx, layer_id: str) -> None:
    """Names of snapshots that were begun on a layer that stays a volume's."""
    tx.execute(pool_disk.delete().where(pool_disk.c.layer_id == layer_id, ~pool_disk.c.written))
