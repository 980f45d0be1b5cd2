"""Disks that a cluster keeps although no instance has them: Ganeti neither lists nor deletes such a disk. It goes with
an instance that is made for it, never started, and removed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import Row

from cyclades.backends.ganeti import create, disks, nodes
from cyclades.backends.ganeti.jobs import Ask, Jobs
from cyclades.backends.ganeti.options import GanetiOptions
from cyclades.backends.ganeti.outcome import Unknown, require_success
from cyclades.backends.ganeti.rapi import NotThere, Rapi


async def delete(rapi: Rapi, jobs: Jobs, options: GanetiOptions, helper: str, row: Row[Any]) -> None:
    """`row` is that of the disk in our book, `helper` the name of the instance. Repeatable: the instance, and the disk
    in it, are found again."""
    held = await _disks_of(rapi, helper)
    if held is None:
        template = disks.kind_of(row.template)
        place = await nodes.place(rapi, options, template=template, memory=0)
        made = await jobs.run("helper", create.helper(helper, template, options, place), None)
        require_success(made, "delete the disk")
        held = []
    if row.uuid not in held:
        change = {"disks": [["attach", -1, {"uuid": row.uuid}]], "hotplug": False}
        attached = await jobs.run("attach", Ask("PUT", f"/2/instances/{helper}/modify", change), None)
        try:
            if row.uuid not in (await _disks_of(rapi, helper) or ()):
                require_success(attached, "delete the disk")
        except Unknown:
            pass  # it is gone already
        finally:
            await _remove(rapi, jobs, helper)
        return
    await _remove(rapi, jobs, helper)


async def _disks_of(rapi: Rapi, helper: str) -> list[str] | None:
    """The uuids of its disks; None if there is no such instance."""
    with suppress(NotThere):
        rows = await rapi.query("instance", ["disk.uuids"], ["=", "name", helper])
        return list(rows[0][0]) if rows else None
    return None


async def _remove(rapi: Rapi, jobs: Jobs, helper: str) -> None:
    job = await jobs.run("remove", Ask("DELETE", f"/2/instances/{helper}", {"shutdown_timeout": 0}), None)
    if await _disks_of(rapi, helper) is not None:
        require_success(job, "delete the disk")
