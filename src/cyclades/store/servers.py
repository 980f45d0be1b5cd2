"""Servers as rows. A status changes only by compare-and-swap from the statuses that the rule allows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.model.caller import Caller
from cyclades.model.errors import NotFound, WrongState
from cyclades.model.status import LOCK_ALLOWS, SERVER_ACTIONS
from cyclades.store import events, pages
from cyclades.store.database import Tx
from cyclades.store.pages import Page, Rows
from cyclades.store.schema import now, server

_ALIVE = server.c.deleted_at.is_(None)
_EVER_BY_ID = sa.select(server).where(server.c.id == sa.bindparam("id"))
_BY_ID = _EVER_BY_ID.where(_ALIVE)
_NIC_LOCK = 0x6E6963  # PostgreSQL's advisory lock for choosing a number

DELETING = "deleting"  # the task of a server whose deletion was accepted


def add(tx: Tx, server_id: str, **values: Any) -> None:
    tx.execute(server.insert(), {"id": server_id, "created_at": now(), **values})
    events.changed(tx, "server", server_id, created=True)


def get(tx: Tx, server_id: str, scope: str | None, *, deleted: bool = False) -> Row[Any]:
    """A server of the project `scope` (None: of any), or `NotFound`. `deleted`: also one that is gone."""
    row = tx.execute(_EVER_BY_ID if deleted else _BY_ID, {"id": server_id}).one_or_none()
    return _in_scope(row, server_id, scope)


def hold(tx: Tx, server_id: str, scope: str | None) -> Row[Any]:
    """`get`, and until the transaction ends nobody else changes the server or what is plugged into it."""
    row = tx.execute(_BY_ID.with_for_update(), {"id": server_id}).one_or_none()
    return _in_scope(row, server_id, scope)


def _in_scope(row: Row[Any] | None, server_id: str, scope: str | None) -> Row[Any]:
    if row is None or (scope is not None and row.project_id != scope):
        raise NotFound("server", server_id)
    return row


def query(scope: str | None, *, deleted: bool = False) -> sa.Select[Any]:
    """All servers of a project (None: of all), to be filtered and paged; `deleted`: those that are gone, too."""
    found = sa.select(server) if deleted else sa.select(server).where(_ALIVE)
    return found if scope is None else found.where(server.c.project_id == scope)


def numbers(tx: Tx) -> dict[str, int]:
    """How many each backend has that has any."""
    counted = sa.select(server.c.backend, sa.func.count().label("number")).where(_ALIVE).group_by(server.c.backend)
    return {row.backend: row.number for row in tx.execute(counted)}


def page(tx: Tx, found: sa.Select[Any], wanted: Page) -> Rows:
    return pages.fetch(tx, found, server, wanted)


def as_json(text: str) -> str:
    """As the databases keep a string in a JSON column."""
    return json.dumps(text)


def among(tx: Tx, names: Sequence[str]) -> sa.Select[Any]:
    """The names as a table: a list of any length is one parameter."""
    each = sa.func.json_array_elements_text if tx.dialect == "postgresql" else sa.func.json_each
    text = sa.literal(json.dumps(names), sa.Text)
    values = sa.cast(text, sa.JSON) if tx.dialect == "postgresql" else text
    return sa.select(each(values).table_valued("value", name="names").c.value)


def require(row: Row[Any], caller: Caller, action: str) -> None:
    """`WrongState` unless the server, held by this transaction, allows the action to this caller."""
    require_unlocked(row, caller)
    if row.status not in SERVER_ACTIONS[action] or row.operation_id is not None:
        raise _wrong_state(row, action)


def require_unlocked(row: Row[Any], caller: Caller) -> None:
    if row.locked and not caller.is_admin:
        raise WrongState("server-locked", f"Server {row.id} is locked.", resource="server")


def begin(tx: Tx, row: Row[Any], caller: Caller, action: str, *, op_id: str, **values: Any) -> None:
    """Give the server to an operation, from a status that allows `action`, or `WrongState`."""
    if action not in LOCK_ALLOWS:
        require_unlocked(row, caller)
    changed = tx.execute(
        server.update()
        .where(server.c.id == row.id, server.c.status.in_(SERVER_ACTIONS[action]), server.c.operation_id.is_(None))
        .where(_ALIVE)
        .values(operation_id=op_id, updated_at=now(), **values)
    )
    if changed.rowcount != 1:
        raise _wrong_state(tx.execute(sa.select(server).where(server.c.id == row.id)).one(), action)
    events.changed(tx, "server", row.id)


def _wrong_state(row: Row[Any], action: str) -> WrongState:
    task = f" and its task is {row.task_state}" if row.task_state else ""
    text = f"Cannot '{action.replace('_', ' ')}' server {row.id} while its status is {row.status}{task}."
    return WrongState(f"server-{action}", text, resource="server")


def take_over(tx: Tx, row: Row[Any], *, op_id: str) -> None:
    """Give the server to its deletion, whoever had it."""
    tx.execute(
        server.update().where(server.c.id == row.id).values(operation_id=op_id, task_state=DELETING, updated_at=now())
    )
    events.changed(tx, "server", row.id)


def finish(tx: Tx, server_id: str, op_id: str, **values: Any) -> bool:
    """Take the server back from the operation that owns it; False (and nothing happens) if it no longer does."""
    values = {"reason": None, "task_state": None, **values}
    changed = tx.execute(
        server.update()
        .where(server.c.id == server_id, server.c.operation_id == op_id)
        .values(operation_id=None, updated_at=now(), **values)
    )
    events.changed(tx, "server", server_id)
    return changed.rowcount == 1


def tell_progress(tx: Tx, server_id: str, percent: int) -> None:
    """How far a server in BUILD is; it only grows, whoever tells it late."""
    further = sa.or_(server.c.progress.is_(None), server.c.progress < percent)
    mine = sa.and_(server.c.id == server_id, server.c.status == "BUILD", further)
    if tx.execute(server.update().where(mine).values(progress=percent)).rowcount:
        events.changed(tx, "server", server_id)


def change(tx: Tx, server_id: str, **values: Any) -> None:
    tx.execute(server.update().where(server.c.id == server_id).values(updated_at=now(), **values))
    events.changed(tx, "server", server_id)


def change_unless_touched(tx: Tx, seen: Row[Any], **values: Any) -> bool:
    """Write what was found out about a server, if its row is still as `seen` and no operation owns it."""
    untouched = server.c.updated_at.is_(None) if seen.updated_at is None else server.c.updated_at == seen.updated_at
    changed = tx.execute(
        server.update()
        .where(server.c.id == seen.id, server.c.operation_id.is_(None), untouched, _ALIVE)
        .values(updated_at=now(), **values)
    )
    events.changed(tx, "server", seen.id)
    return changed.rowcount == 1


def of_backend(tx: Tx, backend: str) -> list[Row[Any]]:
    return list(tx.execute(sa.select(server).where(server.c.backend == backend, _ALIVE)).all())


def free_nic_number(tx: Tx, backend: str) -> int:
    """The least number, from 1, that no living server of the backend has. It is the transaction's to use."""
    if tx.dialect == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_NIC_LOCK)))
    number = server.c.nic_number
    alive = sa.and_(_ALIVE, server.c.backend == backend)
    if tx.execute(sa.select(server.c.id).where(alive, number == 1)).first() is None:
        return 1
    other = server.alias()
    next_one = sa.and_(other.c.deleted_at.is_(None), other.c.backend == backend, other.c.nic_number == number + 1)
    free = sa.select(sa.func.min(number + 1)).where(alive, ~sa.exists().where(next_one))
    least: int = tx.execute(free).scalar_one()
    return least
