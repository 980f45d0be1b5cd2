"""What an operation's steps are given."""

from __future__ import annotations

import msgspec
import pytest

from cyclades.config import load
from cyclades.operations.base import Work, World, new_id
from cyclades.store import operations
from cyclades.store.database import Database


class Nothing(msgspec.Struct):
    pass


async def claimed(database: Database, owner: str) -> Work[Nothing]:
    [row] = await database.write(lambda tx: operations.claim(tx, owner, most=1, lease=60_000_000))
    world = World(database, load(None, {}), {}, {})
    return Work(row.id, row.kind, Nothing(), {}, "p", "u", "r", row.lease_token, world)


async def test_who_lost_an_operation_is_told_before_a_disk_changes(database: Database) -> None:
    what = {"resource_kind": "volume", "resource_id": new_id(), "project_id": "p", "user_id": "u", "request_id": "r"}
    await database.write(lambda tx: operations.add(tx, new_id(), kind="volume_revert", args={}, **what))
    first = await claimed(database, "first")
    await first.still()
    await database.write(operations.free)
    second = await claimed(database, "second")
    with pytest.raises(operations.LeaseLost):
        await first.still()
    await second.still()
    await database.write(lambda tx: operations.end(tx, second.id, second.token, state="done", reason=None))
    with pytest.raises(operations.LeaseLost):
        await second.still()
