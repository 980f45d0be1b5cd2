"""Copying up between layers that nobody has open.

`qemu-img rebase` reads the whole virtual size (a TiB of nothing takes it minutes). QEMU's block-stream looks
only at what is there; `qemu-storage-daemon` runs it without a machine.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyclades.pools import qemu_img


async def pull(chain: Sequence[Path], base: Path | None, *, fds: Sequence[int] = ()) -> None:
    """Copy into the first layer of `chain` what the others hold, so that `base`, the layer below the last, lies below
    it afterwards (None: nothing). On the disk when this returns. Repeatable. `fds`: as for `qemu_img.run`.

    `Passing` when somebody has a layer open, `Full` without space. Names in the files are without directory."""
    process = await start(fds)
    try:
        await _stream(process, chain, base)
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())


async def start(fds: Sequence[int]) -> asyncio.subprocess.Process:
    """A storage daemon without any disks. Unlike qemu-img it would outlive us, with its locks: so it dies with us."""
    return await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", "--", "qemu-storage-daemon", "--chardev", "stdio,id=qmp", "--monitor", "qmp",
        stdin=PIPE, stdout=PIPE, stderr=DEVNULL, pass_fds=tuple(fds),
    )  # fmt: skip


async def _stream(process: asyncio.subprocess.Process, chain: Sequence[Path], base: Path | None) -> None:
    await _execute(process, "qmp_capabilities")
    below = None
    if base is not None:
        # What is under the base plays no part, but is opened by the names in the files.
        await _execute(process, "blockdev-add", **_node("base", base))
        below = "base"
    for number, path in reversed(list(enumerate(chain))):
        name = f"layer{number}"
        node = _node(name, path) | {"read-only": number > 0}
        if path.suffix == ".qcow2":
            node["backing"] = below
        await _execute(process, "blockdev-add", **node)
        below = name
    if len(chain) > 1:
        onto = {} if base is None else {"base-node": "base", "backing-file": base.name}
        await _execute(process, "block-stream", **{"job-id": "pull", "device": "layer0"}, **onto)
        await _event(process, "BLOCK_JOB_COMPLETED")
    await _execute(process, "quit")  # closes the files, and with that flushes them


def _node(name: str, path: Path) -> dict[str, Any]:
    file = {"driver": "file", "filename": str(path)}
    return {"driver": path.suffix[1:], "node-name": name, "file": file, "read-only": True}


async def _execute(process: asyncio.subprocess.Process, command: str, **arguments: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
    while "return" not in (message := await _message(process)):
        if "error" in message:
            raise qemu_img.fault("merge", message["error"]["desc"])


async def _event(process: asyncio.subprocess.Process, name: str) -> None:
    while (message := await _message(process)).get("event") != name:
        pass
    if error := message["data"].get("error"):
        raise qemu_img.fault("merge", error)


async def _message(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise qemu_img.fault("merge", "qemu-storage-daemon ended")
    message: dict[str, Any] = json.loads(line)
    return message
