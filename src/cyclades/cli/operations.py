"""Operations as commands show them: at which step each is, and why it waits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.cli.output import Fields, moment
from cyclades.cli.resource import Resource, Where
from cyclades.config import Settings
from cyclades.model.errors import NotFound
from cyclades.operations.base import registry
from cyclades.store import operations
from cyclades.store.database import Tx
from cyclades.store.schema import now, operation, project


def get(tx: Tx, op_id: str) -> Row[Any]:
    row = operations.get(tx, op_id)
    if row is None:
        raise NotFound("operation", op_id)
    return row


def _read(tx: Tx, _: Settings, where: Where) -> list[Fields]:
    query = sa.select(operation, project.c.name.label("project")).outerjoin(
        project, project.c.id == operation.c.project_id
    )
    moment_now = now()
    rows = tx.execute(query.where(*where).order_by(operation.c.created_at, operation.c.id))
    return [_fields(row, moment_now) for row in rows]


def _fields(row: Row[Any], moment_now: int) -> Fields:
    known = registry().get(row.kind)
    steps = [] if known is None else [step.name for step in known.steps]
    waits = row.ended_at is None and row.state == "waiting" and row.not_before > moment_now
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "step": _step(row, steps),
        "resource": f"{row.resource_kind} {row.resource_id}",
        "project": row.project,
        "age": round(((row.ended_at or moment_now) - row.created_at) / 1_000_000),
        "reason": row.reason,
        "direction": row.direction,
        "steps": steps,
        "attempts": row.attempts,
        "percent": round(100 * row.progress),
        "next_try_at": moment(row.not_before) if waits else None,
        "aborted": row.cancelled,
        "engine": row.lease_owner,
        "lease_until": moment(row.lease_until),
        "jobs": row.data.get("jobs", {}),
        "project_id": row.project_id,
        "user_id": row.user_id,
        "request_id": row.request_id,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "ended_at": moment(row.ended_at),
    }


def _step(row: Row[Any], steps: list[str]) -> str | None:
    if row.ended_at is not None or not 0 <= row.step < len(steps):
        return None
    return f"{steps[row.step]} ({row.step + 1}/{len(steps)})"


OPERATION = Resource(
    columns=("id", "kind", "state", "step", "resource", "project", "age", "reason"),
    more=(
        "direction",
        "steps",
        "attempts",
        "percent",
        "next_try_at",
        "aborted",
        "engine",
        "lease_until",
        "jobs",
        "project_id",
        "user_id",
        "request_id",
        "created_at",
        "updated_at",
        "ended_at",
    ),
    key=operation.c.id,
    read=_read,
)
