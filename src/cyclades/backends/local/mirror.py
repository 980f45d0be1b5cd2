"""A running machine's volume on its way to another disk (`backends.base.Mirror`), by QEMU's `blockdev-mirror`.

The job is made to wait before its end (`auto-finalize`). While it does, QEMU has flushed the new disk and lets no
request of the guest through: so there is one moment in which both are the same, and it may be written down that the
volume lies on the new one. A machine that is killed before has lost nothing on the old disk, one that is killed after
nothing on the new one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from cyclades import qemu_errors
from cyclades.backends.local import disks, machine
from cyclades.backends.local.disks import Present
from cyclades.backends.local.live import LOOK, Connect, asked
from cyclades.backends.local.qmp import COMMAND_SECONDS, Monitor
from cyclades.model.errors import Failed, Passing
from cyclades.pools.base import Blockdev, Progress

_SAME = ("ready", "waiting", "pending")  # of a job: both disks hold the same
_WHAT = "QEMU could not copy the volume"


class LocalMirror:
    """`connect` gives the server's monitor, alone, for as long as its context lasts."""

    def __init__(self, connect: Connect, volume_id: str) -> None:
        self._connect, self._volume_id = connect, volume_id
        self._id = f"mirror-{machine.node_prefix(volume_id)}"

    async def is_needed(self) -> bool:
        """False if the guest has let go of the volume: then what was copying it is ended, and nothing of it is open."""
        async with self._connect() as monitor:
            if self._volume_id in await disks.present(monitor):
                return True
            await self._end(monitor)
            await disks.drop_nodes(monitor, self._volume_id)
            return False

    async def begin(self, target: Blockdev) -> None:
        name = self._name(target)
        async with self._connect() as monitor:
            there = await self._present(monitor)
            if there.node == name or await self._job(monitor) is not None:
                return
            if not any(node["node-name"] == name for node in await disks.nodes(monitor)):
                await asked(monitor, "blockdev-add", {**target, "node-name": name, "discard": "unmap"})
            words = {
                "job-id": self._id,
                "device": there.node,
                "target": name,
                "sync": "full",
                # However much the guest writes, the copy comes to its end.
                "copy-mode": "write-blocking",
                "auto-finalize": False,
                "auto-dismiss": False,
            }
            await asked(monitor, "blockdev-mirror", words)

    async def follow(self, progress: Progress) -> None:
        pause, longest = LOOK
        while True:
            async with self._connect() as monitor:
                job = await self._going_on(monitor)
            if job["status"] in _SAME:
                return
            await progress(job["current-progress"] / (job["total-progress"] or 1))
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def hold(self) -> None:
        async with self._connect() as monitor:
            if (await self._going_on(monitor))["status"] == "ready":
                await asked(monitor, "job-complete", {"id": self._id})
            await self._until(monitor, "pending")

    async def turn(self, target: Blockdev) -> bool:
        async with self._connect() as monitor:
            job = await self._job(monitor)
            if job is not None:
                if job["status"] == "pending":
                    await asked(monitor, "job-finalize", {"id": self._id})
                await self._until(monitor, "concluded")
                await asked(monitor, "job-dismiss", {"id": self._id})
            there = await self._present(monitor)
            await self._close_others(monitor, there)
            return there.node == self._name(target)

    async def part(self) -> None:
        async with self._connect() as monitor:
            await self._end(monitor)
            await self._close_others(monitor, await self._present(monitor))

    async def _end(self, monitor: Monitor) -> None:
        job = await self._job(monitor)
        if job is not None:
            if job["status"] != "concluded":
                await asked(monitor, "job-cancel", {"id": self._id})
                await self._until(monitor, "concluded")
            await asked(monitor, "job-dismiss", {"id": self._id})

    def _name(self, target: Blockdev) -> str:
        return machine.top_name(self._volume_id, target)

    async def _job(self, monitor: Monitor) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = await monitor.command("query-jobs")
        return next((job for job in found if job["id"] == self._id), None)

    async def _going_on(self, monitor: Monitor) -> dict[str, Any]:
        """The job, which has not ended; the fault that it ended with."""
        job = await self._job(monitor)
        if job is None:
            raise Passing("The volume is not being copied any more.")
        if job["status"] == "concluded":
            await asked(monitor, "job-dismiss", {"id": self._id})
            raise qemu_errors.fault(_WHAT, job["error"]) if "error" in job else Failed(f"{_WHAT}: the copy was ended.")
        return job

    async def _until(self, monitor: Monitor, status: str) -> None:
        """Return when the job has this status; `Passing` if that takes too long."""
        with monitor.listening("JOB_STATUS_CHANGE") as events:
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    while True:
                        job = await self._job(monitor) if status == "concluded" else await self._going_on(monitor)
                        if job is None or job["status"] == status:
                            return
                        await events.get()
            except TimeoutError as error:
                raise Passing(f"The server's QEMU still copies the volume ({status} is awaited).") from error

    async def _close_others(self, monitor: Monitor, there: Present) -> None:
        kept = {there.node, *(name for name, _ in await disks.below(monitor, there.node))}
        await disks.drop_nodes(monitor, self._volume_id, keep=frozenset(kept))

    async def _present(self, monitor: Monitor) -> Present:
        return await disks.require_present(monitor, self._volume_id)
