"""What an operation is made of.

An operation is a row with a list of steps. The engine runs them one after the other and records each before
the next. A step may run twice, also at once on two engines, with the same outcome; so ids and names are
chosen when the operation is accepted, and a repeat finds what the first try made. When a step fails, the
undos of that step and of those before it run backwards; an undo must bear that its step never began.
"""

from __future__ import annotations

import importlib
import pkgutil
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from cyclades.backends.base import Backend
from cyclades.config import Settings
from cyclades.model.caller import Caller
from cyclades.model.errors import Failed
from cyclades.pools.base import Pool
from cyclades.store import operations as rows
from cyclades.store.database import Database, Tx

A = TypeVar("A", bound=msgspec.Struct)

CANCELLED = "Cancelled, because the resource is being deleted or reset."
_JOBS = "jobs"  # in an operation's data: the ids of what backends were asked for, by mark and word


@dataclass(frozen=True)
class World:
    """Everything outside the database that operations work on, and the database. `pools` are also those that stand for
    disks that Ganeti makes; `own_pools` are the configured ones alone."""

    db: Database
    settings: Settings
    pools: Mapping[str, Pool]
    backends: Mapping[str, Backend]

    @property
    def own_pools(self) -> dict[str, Pool]:
        return {name: self.pools[name] for name in self.settings.storage.pools if name in self.pools}


@dataclass
class Work(Generic[A]):
    """An operation being worked on. `data` is what its steps found out (JSON values): what is put there is kept when
    the step or undo ends, or the operation turns back; `record` keeps it at once. `token` is the lease's, no user's: a
    record by an engine that has lost the lease is refused (`rows.LeaseLost`). For backends it is the `Trail` of its
    present step."""

    id: str
    kind: str
    args: A
    data: dict[str, Any]
    project_id: str
    user_id: str
    request_id: str
    token: int
    world: World
    mark: str = ""

    def enter(self, step: str, direction: str) -> None:
        """What is done from here on belongs to this step."""
        self.mark = f"cyclades:{self.id}:{step}:{direction}"

    def job(self, what: str) -> str | None:
        found: str | None = self.data.get(_JOBS, {}).get(f"{self.mark}:{what}")
        return found

    async def keep(self, what: str, job: str | None) -> None:
        kept = {**self.data.get(_JOBS, {}), f"{self.mark}:{what}": job}
        await self.record(**{_JOBS: {name: value for name, value in kept.items() if value is not None}})

    async def record(self, **data: Any) -> None:
        """Keep something before going on, for a repeat, a later step or an undo (JSON values)."""
        self.data.update(data)
        snapshot = dict(self.data)
        await self.world.db.write(lambda tx: rows.record(tx, self.id, self.token, data=snapshot))

    async def still(self) -> None:
        """For pools, asked while a disk is held: what is done twice must not be done late, when the disk may be in use
        again. Raises (`rows.LeaseLost`) if another engine has the operation now, or brought it to its end."""
        row = await self.world.db.read(lambda tx: rows.get(tx, self.id))
        if row is None or row.ended_at is not None or row.lease_token != self.token:
            raise rows.LeaseLost(self.id)

    async def progress(self, fraction: float) -> None:
        """Tell how far the present step is, from 0.0 to 1.0."""
        await self.world.db.write(lambda tx: rows.record(tx, self.id, self.token, progress=fraction))

    async def progress_or_end(self, fraction: float) -> None:
        """`progress`, in a step that takes long and can be undone: `Failed` if the operation was asked to turn back."""
        await self.progress(fraction)
        row = await self.world.db.read(lambda tx: rows.get(tx, self.id))
        if row is not None and row.cancelled:
            raise Failed(CANCELLED)


StepFunction = Callable[[Work[A]], Awaitable[None]]


@dataclass(frozen=True)
class Step(Generic[A]):
    """`final` marks the point of no return: from this step on nothing is undone; it is tried again, and if it
    fails for good the operation has failed as it stands."""

    name: str
    do: StepFunction[A]
    undo: StepFunction[A] | None = None
    final: bool = False


@dataclass(frozen=True)
class Operation(Generic[A]):
    """`done` and `failed` write what the end means: final states and quota, in the transaction that ends the
    operation. They touch only rows that the operation still owns. `failed` gets the reason that the user
    reads, and runs after all undos (or after a final step could not be brought to its end)."""

    kind: str
    args: type[A]
    steps: tuple[Step[A], ...]
    done: Callable[[Tx, Work[A]], None]
    failed: Callable[[Tx, Work[A], str], None]

    def can_undo(self, step: int) -> bool:
        """Whether an operation that has begun this step can still go back."""
        return not any(s.final for s in self.steps[: step + 1])


def new_id() -> str:
    return str(uuid.uuid4())


def submit(
    tx: Tx, caller: Caller, operation: Operation[A], args: A, *, resource_kind: str, resource_id: str, op_id: str
) -> None:
    """Add the operation to the caller's transaction; an engine is woken when it commits. The rows that it
    owns must carry `op_id` as their `operation_id`."""
    rows.add(
        tx,
        op_id,
        kind=operation.kind,
        args=msgspec.to_builtins(args),
        resource_kind=resource_kind,
        resource_id=resource_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        request_id=caller.request_id,
    )
    tx.signal("operations")


@cache
def registry() -> Mapping[str, Operation[Any]]:
    """Every operation there is, by kind: each module of this package that has an `OPERATION`."""
    import cyclades.operations as package

    found: dict[str, Operation[Any]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        operation = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "OPERATION", None)
        if operation is not None:
            found[operation.kind] = operation
    return found
