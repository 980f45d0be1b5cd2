"""The volumes of a running QEMU, over its monitor: seen, plugged, unplugged.

A plug is two things, a node (the open file) and a device (what the guest sees). Everything here finds what an
interrupted try left of either.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from cyclades import qemu_errors
from cyclades.backends.base import Plug, SeenDisk
from cyclades.backends.local import machine
from cyclades.backends.local.qmp import Monitor, Refused
from cyclades.model.errors import Failed, Passing
from cyclades.pools.base import Blockdev


@dataclass(frozen=True)
class Present:
    """A volume that the machine has: its device, the node on top, and that node's file."""

    disk: SeenDisk
    device: str
    node: str
    path: str
    size: int


async def present(monitor: Monitor) -> dict[str, Present]:
    """The machine's volumes by their ids."""
    found = {}
    for block in await monitor.command("query-block"):
        seen = machine.disk_of(block.get("qdev", ""))
        top = block.get("inserted")
        if seen is None or top is None:
            continue
        disk = SeenDisk(seen.volume_id, None, seen.generation, bool(top["ro"]))
        name = machine.device_id(seen.volume_id, seen.generation)
        found[seen.volume_id] = Present(
            disk, name, top["node-name"], machine.plain_path(top["image"]["filename"]), top["image"]["virtual-size"]
        )
    return found


async def require_present(monitor: Monitor, volume_id: str) -> Present:
    there = (await present(monitor)).get(volume_id)
    if there is None:
        raise Passing("The server does not have the volume any more.")
    return there


async def nodes(monitor: Monitor) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await monitor.command("query-named-block-nodes", {"flat": True})
    return found


async def below(monitor: Monitor, top: str) -> list[tuple[str, str]]:
    """Name and path of each layer under the node `top`, nearest first."""
    paths = {node["node-name"]: machine.plain_path(node["image"]["filename"]) for node in await nodes(monitor)}
    graph = await monitor.command("x-debug-query-block-graph")
    names = {node["id"]: node["name"] for node in graph["nodes"]}
    under = {names[e["parent"]]: names[e["child"]] for e in graph["edges"] if e["name"] == "backing"}
    chain = []
    while (top := under.get(top, "")) != "":
        chain.append((top, paths[top]))
    return chain


async def flush(monitor: Monitor, there: Present) -> None:
    """Have all that QEMU holds of the volume written out."""
    said = await monitor.command("human-monitor-command", {"command-line": f'qemu-io -d {there.device} "flush"'})
    if said.strip():
        raise Passing(f"QEMU could not write out the volume: {said.strip()}")


async def plug(monitor: Monitor, wanted: Plug, blockdev: Blockdev) -> None:
    """Have the volume in the machine. `Failed` if QEMU refuses; then nothing of it is there."""
    there = (await present(monitor)).get(wanted.volume_id)
    if there is not None:
        if there.disk.generation == wanted.generation:
            return
        raise Failed("The server already has this volume by another attachment.")
    await drop_nodes(monitor, wanted.volume_id)
    top = machine.node(wanted, blockdev)
    try:
        await monitor.command("blockdev-add", top)
        await monitor.command("device_add", machine.device(wanted, top["node-name"]))
    except Refused as refusal:
        await drop_nodes(monitor, wanted.volume_id)
        raise qemu_errors.fault("QEMU refused to plug the volume in", str(refusal)) from refusal


async def unplug(monitor: Monitor, there: Present, *, patience: float) -> None:
    """Take the volume away. `Failed` if the guest does not let go within `patience` seconds."""
    with monitor.listening("DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR") as events:
        try:
            await monitor.command("device_del", {"id": there.device})
        except Refused as refusal:
            # Asked before, and not answered yet: the answer may come now.
            if "in the process of unplug" not in str(refusal) and "not found" not in str(refusal):
                raise Failed(f"QEMU refused to unplug the volume: {refusal}") from refusal
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while there.disk.volume_id in await present(monitor):
                    event = await events.get()
                    data = event["data"]
                    mine = data.get("device") == there.device
                    if mine and event["event"] == "DEVICE_UNPLUG_GUEST_ERROR":
                        raise Failed("The guest refused to let go of the volume.")
    if there.disk.volume_id in await present(monitor):
        raise Failed(f"The guest did not let go of the volume within {patience:g} seconds; it is still plugged in.")
    await drop_nodes(monitor, there.disk.volume_id)


async def drop_nodes(monitor: Monitor, volume_id: str, *, keep: frozenset[str] = frozenset()) -> None:
    """Close the volume's files, but for the nodes in `keep`. A layer can be closed once nothing stands on it, so the
    tops go first."""
    prefix = machine.node_prefix(volume_id)
    left = {node["node-name"] for node in await nodes(monitor) if node["node-name"].startswith(prefix)} - keep
    while left:
        gone = set()
        for name in left:
            with contextlib.suppress(Refused):
                await monitor.command("blockdev-del", {"node-name": name})
                gone.add(name)
        if not gone:
            raise Passing("QEMU still works on the volume's disk.")
        left -= gone
