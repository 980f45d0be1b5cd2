"""What a node can do with the machine's kernel: FUSE and loop devices, which a pool's disks need there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.ganeti.cells import Cells
from tests.ganeti.node import Node
from tests.processes import wait_until


def export(node: Node, image: Path, point: str) -> int:
    """The node's file `point` is the content of this qcow2 from now on, until the process ends of which this is the
    number on the node."""
    node.run("touch", point)
    file = {"driver": "file", "filename": str(image)}
    blockdev = {"driver": "qcow2", "node-name": "disk", "file": file}
    export = {"type": "fuse", "id": "disk", "node-name": "disk", "mountpoint": point, "writable": True}
    words = ["--blockdev", json.dumps(blockdev), "--export", json.dumps(export), "--pidfile", f"{point}.pid"]
    node.run("qemu-storage-daemon", *words, "--daemonize")
    return int(node.run("cat", f"{point}.pid"))


def qcow2(path: Path) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
    return path


def read(image: Path) -> str | None:
    """The first bytes, as qemu-io shows them; None while it is open elsewhere."""
    words: list[str | Path] = ["qemu-io", "-c", "read -v 0 32", image]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def test_a_qcow2_is_a_block_device_of_the_node(cells: Cells) -> None:
    node = cells.clusters[0].nodes[1]
    image = qcow2(cells.shared / "exported.qcow2")
    number = export(node, image, "/root/exported")
    loop = node.run("losetup", "--find", "--show", "--direct-io=on", "/root/exported").strip()
    node.run("blockdev", "--setrw", loop)  # it stays read-only if that is how its last user left it
    assert node.run("blockdev", "--getsize64", loop).strip() == str(64 << 20)
    node.run("dd", f"of={loop}", "conv=fsync", "status=none", typed="through FUSE and a loop device")
    assert node.run("head", "-c7", loop) == "through"
    node.run("losetup", "--detach", loop)
    node.run("kill", str(number))
    body = wait_until("nobody has it open", lambda: read(image))
    assert "through.FUSE.and" in body
