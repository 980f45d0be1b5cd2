"""Give a volume to another project, with its snapshots and with what they count in the quota: one transaction."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Row

from cyclades.config import Settings
from cyclades.model import quota
from cyclades.model.caller import Caller
from cyclades.model.errors import Forbidden, NotFound
from cyclades.model.roles import ADMIN, MEMBER
from cyclades.model.status import SNAPSHOT_ACTIONS, wrong_status
from cyclades.store import assignments, projects, quotas, snapshots, volumes
from cyclades.store.database import Tx


def reassign(tx: Tx, caller: Caller, settings: Settings, volume_id: str, project_id: str) -> None:
    """Give a volume that is free to a project in which the caller is a member, too; an admin, to any. It stays its
    user's."""
    row = volumes.hold(tx, volume_id, caller.scope)
    _require_member(tx, caller, project_id)
    volumes.begin(tx, row, "reassign", status=row.status, op_id=None)
    require_snapshots(tx, row)
    move(tx, settings, row, project_id=project_id, user_id=row.user_id)


def _require_member(tx: Tx, caller: Caller, project_id: str) -> None:
    """Of a project in which the caller has no role it is not told whether it exists."""
    project = projects.get(tx, project_id)
    roles = {role.name for role in assignments.roles(tx, caller.user_id, "project", project_id)}
    if not caller.is_admin and not roles:
        raise NotFound("project", project_id)
    if not caller.is_admin and not roles & {ADMIN, MEMBER}:
        raise Forbidden("reassign-member", f"Your roles in project {project_id} do not allow this; it takes {MEMBER}.")
    if not project.enabled:
        raise Forbidden("reassign-disabled", f"Project {project_id} is disabled.")


def require_snapshots(tx: Tx, row: Row[Any]) -> None:
    """`WrongState` unless all snapshots of a volume can go with it."""
    allowed = SNAPSHOT_ACTIONS["transfer"]
    for one in snapshots.of_volume(tx, row.id, row.project_id):
        if one.status not in allowed:
            raise wrong_status("snapshot", "transfer", allowed, one.status)


def move(
    tx: Tx, settings: Settings, row: Row[Any], *, project_id: str, user_id: str, with_snapshots: bool = True
) -> None:
    """The volume's row is held. `OverQuota` if the new project may not have it."""
    if project_id == row.project_id:
        volumes.change(tx, row.id, user_id=user_id)
        return
    kept = snapshots.of_volume(tx, row.id, row.project_id) if with_snapshots else []
    amounts = Counter(quota.of_volume(row.size, type_id=row.volume_type_id, consumes=row.consumes_quota))
    for one in kept:
        amounts.update(quota.of_snapshot(one.size, type_id=row.volume_type_id))
    quotas.take(tx, settings.quotas, project_id, amounts, volume_size=row.size)
    quotas.give_back(tx, row.project_id, amounts)
    volumes.move(tx, row, project_id=project_id, user_id=user_id)
    for one in kept:
        snapshots.move(tx, one, project_id=project_id, user_id=user_id)
