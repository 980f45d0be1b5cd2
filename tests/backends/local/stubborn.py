"""Volumes that a guest has to let go of.

Ours are SCSI disks, which leave without asking. A PCI disk asks its guest; with no guest there to answer, QEMU waits
until the machine is reset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyclades.backends.base import Plug
from cyclades.backends.local import machine


def make_stubborn(monkeypatch: pytest.MonkeyPatch, directory: Path) -> str:
    """From now on volumes but the root are plugged in as PCI disks; returns the program of a QEMU that has room for
    one."""
    plain = machine.device

    def device(plug: Plug, node_name: str) -> dict[str, Any]:
        if plug.index == 0:
            return plain(plug, node_name)
        name = machine.device_id(plug.volume_id, plug.generation)
        return {"driver": "virtio-blk-pci", "id": name, "bus": "outlet", "drive": node_name, "serial": plug.serial[:20]}

    monkeypatch.setattr(machine, "device", device)
    program = directory / "stubborn-qemu"
    program.write_text('#!/bin/sh\nexec qemu-system-x86_64 -device pcie-root-port,id=outlet,chassis=1 "$@"\n')
    program.chmod(0o755)
    return str(program)
