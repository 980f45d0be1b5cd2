"""A cluster's nodes: what they have, and which one a new server gets."""

from __future__ import annotations

import random
from typing import Any

from cyclades.backends.base import Capacity
from cyclades.backends.ganeti import disks, version
from cyclades.backends.ganeti.options import GanetiOptions
from cyclades.backends.ganeti.rapi import Rapi
from cyclades.model.errors import Passing
from cyclades.model.units import MIB

_DRBD = "drbd"  # needs a second node
_PROGRAM = "Ganeti"


async def open_ones(rapi: Rapi) -> list[dict[str, Any]]:
    """The nodes that take servers and answer."""
    nodes: list[dict[str, Any]] = await rapi.get("/2/nodes", bulk="1")
    return [
        node
        for node in nodes
        if node["vm_capable"] and not node["offline"] and not node["drained"] and node["mfree"] is not None
    ]


async def place(rapi: Rapi, options: GanetiOptions, *, template: str, memory: int) -> dict[str, str]:
    """What a request for a new server of `memory` MiB says of where it is to run."""
    if options.iallocator:
        return {"iallocator": options.iallocator}
    nodes = await open_ones(rapi)
    roomy = [node for node in nodes if node["mfree"] >= memory] or nodes
    if not roomy:
        raise Passing("No node of the Ganeti cluster takes servers just now.")
    # By chance, so that servers that are made at the same time do not all go to the same one.
    first = random.choices(roomy, weights=[max(node["mfree"], 1) for node in roomy])[0]  # noqa: S311
    if template != _DRBD:
        return {"pnode": first["name"]}
    seconds = [node for node in nodes if node["name"] != first["name"] and node["group.uuid"] == first["group.uuid"]]
    if not seconds:
        raise Passing("The Ganeti cluster has no second node for a mirrored disk just now.")
    return {"pnode": first["name"], "snode": max(seconds, key=lambda node: node["mfree"])["name"]}


async def capacity(rapi: Rapi) -> Capacity:
    info = await rapi.get("/2/info")
    nodes = await open_ones(rapi)
    return Capacity(
        vcpus=sum(int(node["ctotal"] or 0) for node in nodes),
        memory=sum(node["mtotal"] or 0 for node in nodes),
        program=_PROGRAM,
        version=version.of(info).number,
        memory_free=sum(node["mfree"] for node in nodes),
        disk_free=sum(node["dfree"] or 0 for node in nodes) * MIB,
        disk_templates=tuple(info["enabled_disk_templates"]),
        refuses_pools=disks.wipe_refusal(info),
    )
