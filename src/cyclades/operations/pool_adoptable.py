"""What could be adopted from a pool. Only an engine reaches pools, so this is an operation, too."""

from __future__ import annotations

from dataclasses import asdict

import msgspec

from cyclades.model.caller import Caller
from cyclades.operations.base import Operation, Step, Work, new_id, submit
from cyclades.store.database import Tx


class Args(msgspec.Struct):
    pool: str


def start(tx: Tx, caller: Caller, pool: str) -> str:
    """Accept the question; returns the operation's id. When it has ended, its data's `found` is a list of
    `pools.base.Adoptable`, as dictionaries."""
    op_id = new_id()
    submit(tx, caller, OPERATION, Args(pool), resource_kind="pool", resource_id=op_id, op_id=op_id)
    return op_id


async def look(work: Work[Args]) -> None:
    found = await work.world.pools[work.args.pool].adoptable()
    await work.record(found=[asdict(each) for each in found])


def done(tx: Tx, work: Work[Args]) -> None:
    """Nothing changed."""


def failed(tx: Tx, work: Work[Args], reason: str) -> None:
    """Nothing changed."""


OPERATION = Operation(kind="pool_adoptable", args=Args, steps=(Step("look", look),), done=done, failed=failed)
