"""Usage against the sum of what is there. Where operations are under way it is on its way, too, and passed over."""

from __future__ import annotations

from cyclades.config import Settings
from cyclades.operations.base import World
from cyclades.reconcile.difference import CallerFor, Difference, Mending, touched
from cyclades.store import quota_check
from cyclades.store.database import Tx


async def look(world: World) -> list[Difference]:
    found, _ = await world.db.read(quota_check.differences)
    return [_difference(one) for one in found]


def _difference(one: quota_check.Difference) -> Difference:
    resource = f"project {one.project_id}"

    def accept(tx: Tx, settings: Settings, caller: CallerFor) -> None:
        quota_check.hold(tx)
        if one.project_id in quota_check.busy_projects(tx):
            raise touched(resource)
        quota_check.mend(tx, one.project_id, one.resource)

    recorded, found = f"{one.used} of {one.resource}", f"{one.due} of {one.resource}"
    return Difference("quota", resource, "database", recorded, found, mendings=(Mending("quota", accept),))
