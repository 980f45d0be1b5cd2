"""A volume that a running QEMU has open, as pools reach it (`pools.base.LiveDisk`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from cyclades import qemu_errors
from cyclades.backends.local import disks, machine
from cyclades.backends.local.disks import Present
from cyclades.backends.local.qmp import Monitor, Refused
from cyclades.model.errors import Failed
from cyclades.pools.base import Blockdev, Progress

LOOK = 0.02, 0.5  # seconds between looks at a job: at first, and at most

Connect = Callable[[], AbstractAsyncContextManager[Monitor]]


class LocalLiveDisk:
    """`connect` gives the server's monitor, alone, for as long as its context lasts."""

    def __init__(self, connect: Connect, volume_id: str) -> None:
        self._connect, self._volume_id = connect, volume_id

    async def top(self) -> str:
        async with self._connect() as monitor:
            return (await self._present(monitor)).path

    async def switch(self, overlay: Blockdev) -> None:
        path = machine.path_of(overlay)
        name = machine.node_name(self._volume_id, path)
        async with self._connect() as monitor:
            there = await self._present(monitor)
            if there.path == path:
                return
            if not any(node["node-name"] == name for node in await disks.nodes(monitor)):
                # Without `backing` QEMU would open the layers below once more, instead of those that it has.
                new = {**overlay, "node-name": name, "backing": None, "discard": "unmap"}
                await asked(monitor, "blockdev-add", new)
            await asked(monitor, "blockdev-snapshot", {"node": there.node, "overlay": name})

    async def resize(self, size: int) -> None:
        async with self._connect() as monitor:
            there = await self._present(monitor)
            if there.size < size:
                await asked(monitor, "block_resize", {"node-name": there.node, "size": size})

    async def pull(self, base: str | None, progress: Progress) -> None:
        job = f"pull-{machine.node_prefix(self._volume_id)}"
        if await self._start_pull(job, base):
            pause, longest = LOOK
            async for fraction in self._follow(job):
                await progress(fraction)
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)
        await self._settle()

    async def _start_pull(self, job: str, base: str | None) -> bool:
        """Have the job; False if there is nothing to do any more."""
        async with self._connect() as monitor:
            if any(other["id"] == job for other in await monitor.command("query-jobs")):
                return True
            there = await self._present(monitor)
            below = await disks.below(monitor, there.node)
            paths = [path for _, path in below]
            if (paths[0] if paths else None) == base:
                return False
            words: dict[str, Any] = {"job-id": job, "device": there.node, "auto-dismiss": False}
            if base is not None:
                if base not in paths:
                    raise Failed("The layer is not below the volume.")
                # A name beside it, as the pool writes them: its directory can be moved.
                words |= {"base-node": below[paths.index(base)][0], "backing-file": Path(base).name}
            await asked(monitor, "block-stream", words)
            return True

    async def _follow(self, job: str) -> AsyncIterator[float]:
        """How far the job is, until it has ended."""
        while True:
            async with self._connect() as monitor:
                states = [state for state in await monitor.command("query-jobs") if state["id"] == job]
                if not states:
                    return
                (state,) = states
                if state["status"] == "concluded":
                    await asked(monitor, "job-dismiss", {"id": job})
                    if "error" in state:
                        raise qemu_errors.fault("QEMU could not copy the volume", state["error"])
                    return
                total = state["total-progress"]
            yield state["current-progress"] / total if total else 0.0

    async def _settle(self) -> None:
        """What was pulled is on the disk before anybody removes where it came from, and layers that the top one no
        longer stands on are closed, where we opened them by name."""
        async with self._connect() as monitor:
            there = await self._present(monitor)
            await disks.flush(monitor, there)
            kept = {there.node, *(name for name, _ in await disks.below(monitor, there.node))}
            prefix = machine.node_prefix(self._volume_id)
            for node in await disks.nodes(monitor):
                if node["node-name"].startswith(prefix) and node["node-name"] not in kept:
                    await asked(monitor, "blockdev-del", {"node-name": node["node-name"]})

    async def _present(self, monitor: Monitor) -> Present:
        return await disks.require_present(monitor, self._volume_id)


async def asked(monitor: Monitor, command: str, arguments: dict[str, Any]) -> None:
    """Have QEMU do it, or raise what it says as a fault."""
    try:
        await monitor.command(command, arguments)
    except Refused as refusal:
        raise qemu_errors.fault(f"QEMU refused {command}", str(refusal)) from refusal
