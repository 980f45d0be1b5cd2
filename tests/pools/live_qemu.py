"""A real QEMU that has one disk open, and a `LiveDisk` over it; no guest runs in it."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient

from cyclades.pools.base import Blockdev, Pool, Progress

_START_SECONDS = 60.0


class LiveQemu:
    """`LiveDisk` for the one disk of a QEMU. Nodes are named after their files' layers."""

    def __init__(self, qmp: QMPClient, process: asyncio.subprocess.Process) -> None:
        self._qmp = qmp
        self._process = process

    async def find(self) -> LiveQemu | None:
        """As a pool asks for it."""
        return self if self._process.returncode is None else None

    async def write(self, offset: int, length: int, byte: int) -> None:
        """What a guest would write, and flush."""
        await self._qemu_io(f"write -P {byte} {offset} {length}")
        await self._qemu_io("flush")

    async def read(self, offset: int, length: int, byte: int) -> None:
        """Assert what a guest would read."""
        await self._qemu_io(f"read -P {byte} {offset} {length}")

    async def _qemu_io(self, command: str) -> None:
        line = f'qemu-io -d disk "{command}"'
        answer = await self._qmp.execute("human-monitor-command", {"command-line": line})
        assert answer == "", answer

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def top(self) -> str:
        return _path((await self._image())["filename"])

    async def switch(self, overlay: Blockdev) -> None:
        if await self.top() == overlay["file"]["filename"]:
            return
        old, new = await self._node(), "layer-" + Path(overlay["file"]["filename"]).stem[:8]
        await self._qmp.execute("blockdev-add", {**overlay, "node-name": new, "backing": None})
        await self._qmp.execute("blockdev-snapshot", {"node": old, "overlay": new})

    async def resize(self, size: int) -> None:
        await self._qmp.execute("block_resize", {"node-name": await self._node(), "size": size})

    async def pull(self, base: str | None, progress: Progress) -> None:
        chain = await self._chain()
        between = [node for node, filename in chain[1:] if filename != base]
        below = [node for node, filename in chain if filename == base]
        if below:
            between = between[: [node for node, _ in chain[1:]].index(below[0])]
        if not between:
            return
        arguments: dict[str, Any] = {"job-id": "pull", "device": await self._node(), "auto-dismiss": False}
        if base is not None:
            arguments |= {"base-node": below[0], "backing-file": Path(base).name}
        await self._qmp.execute("block-stream", arguments)
        while True:
            jobs: Any = await self._qmp.execute("query-jobs")
            if jobs[0]["status"] == "concluded":
                break
            await asyncio.sleep(0.01)
        await self._qmp.execute("job-dismiss", {"id": "pull"})
        assert "error" not in jobs[0], jobs
        # Else a QEMU that is killed takes what it pulled along: the layers below are removed after this.
        await self._qemu_io("flush")
        for node in between:
            named: Any = await self._qmp.execute("query-named-block-nodes", {"flat": True})
            if any(found["node-name"] == node for found in named):
                await self._qmp.execute("blockdev-del", {"node-name": node})

    async def _device(self) -> dict[str, Any]:
        blocks: Any = await self._qmp.execute("query-block")
        found: dict[str, Any] = next(block["inserted"] for block in blocks if block["qdev"] == "disk")
        return found

    async def _image(self) -> dict[str, Any]:
        image: dict[str, Any] = (await self._device())["image"]
        return image

    async def _node(self) -> str:
        return str((await self._device())["node-name"])

    async def _chain(self) -> list[tuple[str, str]]:
        """Node and file of each layer, the top first."""
        named: Any = await self._qmp.execute("query-named-block-nodes", {"flat": True})
        by_file = {_path(node["image"]["filename"]): node["node-name"] for node in named if node["drv"] != "file"}
        image: dict[str, Any] | None = await self._image()
        chain = []
        while image is not None:
            chain.append((by_file[_path(image["filename"])], _path(image["filename"])))
            image = image.get("backing-image")
        return chain


def _path(filename: str) -> str:
    """QEMU's `filename` is a description when the layer was not opened with what its file says lies below it."""
    if not filename.startswith("json:"):
        return filename
    described: dict[str, Any] = json.loads(filename.removeprefix("json:"))
    return str(described["file"]["filename"])


@asynccontextmanager
async def live_qemu(pool: Pool, disk: str, directory: Path) -> AsyncIterator[LiveQemu]:
    """Open a volume as the local backend does."""
    socket = directory / "qmp"
    async with pool.opening(disk) as blockdev:
        qmp = QMPClient("test")
        await qmp.start_server(str(socket))
        process = await asyncio.create_subprocess_exec(
            "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-S", "-nodefaults", "-display", "none", "-m", "16",
            "-device", "virtio-scsi-pci", "-qmp", f"unix:{socket}", stdout=DEVNULL,
        )  # fmt: skip
        try:
            await asyncio.wait_for(qmp.accept(), _START_SECONDS)
            await qmp.execute("blockdev-add", {**blockdev, "node-name": "first"})
            await qmp.execute("device_add", {"driver": "scsi-hd", "drive": "first", "id": "disk"})
        except BaseException:
            process.kill()
            await process.wait()
            raise
    try:
        yield LiveQemu(qmp, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        with suppress(EOFError):  # it was killed
            await qmp.disconnect()
        socket.unlink(missing_ok=True)
