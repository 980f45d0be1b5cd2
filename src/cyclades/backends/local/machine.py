"""The machine that a server is: QEMU's command line, and the names of things inside it.

A q35 with one virtio-scsi controller for all volumes: no PCI slot for each, an unplug completes even when the guest
never ran, and the guest sees the whole volume id as the disk's serial number.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from cyclades.backends.base import Nic, Plug, SeenDisk, ServerSpec
from cyclades.backends.local.accelerator import cpu_of
from cyclades.backends.local.home import Home
from cyclades.pools.base import Blockdev

# On the server's forward address. Not 22: that needs root, and fails beside an sshd that listens on all addresses.
SSH_PORT = 2222
_SUBNET = 29  # prefix length of a guest's own little network
_NODE_LONGEST = 31
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


@dataclass(frozen=True)
class Qemu:
    """How QEMU is run on this machine."""

    program: str
    accelerator: str


def device_id(volume_id: str, generation: int) -> str:
    return f"vol-{volume_id}-{generation}"


def disk_of(device: str) -> SeenDisk | None:
    """Back from the name of a device (or its path in QEMU's tree) to the disk; None for what is no volume."""
    for part in device.split("/"):
        if part.startswith("vol-"):
            volume_id, _, generation = part.removeprefix("vol-").rpartition("-")
            if generation.isdecimal():
                return SeenDisk(volume_id, None, int(generation))
    return None


def node_prefix(volume_id: str) -> str:
    """All nodes that we give a name for this volume begin with this."""
    return f"v{hashlib.sha256(volume_id.encode()).hexdigest()[:16]}-"


def node_name(volume_id: str, path: str) -> str:
    """Of the layer at `path`."""
    return (node_prefix(volume_id) + hashlib.sha256(path.encode()).hexdigest())[:_NODE_LONGEST]


def path_of(blockdev: Blockdev) -> str:
    """The file of a layer."""
    inner: Any = blockdev.get("file", {})
    return str(inner.get("filename", "") if isinstance(inner, dict) else inner)


def plain_path(filename: str) -> str:
    """QEMU's `filename` is a description where a layer was not opened with what its file says lies below it."""
    if not filename.startswith("json:"):
        return filename
    return path_of(json.loads(filename.removeprefix("json:")))


def top_name(volume_id: str, blockdev: Blockdev) -> str:
    """Of the node that is opened so; a disk that is no file here is told by all that is said of it."""
    return node_name(volume_id, path_of(blockdev) or json.dumps(blockdev, sort_keys=True))


def node(plug: Plug, blockdev: Blockdev) -> dict[str, Any]:
    """`blockdev-add`'s arguments for a volume's top layer."""
    return {
        **blockdev,
        "node-name": top_name(plug.volume_id, blockdev),
        "read-only": plug.read_only,
        "discard": "unmap",
    }


def device(plug: Plug, node_name: str) -> dict[str, Any]:
    """`device_add`'s arguments for a volume."""
    found: dict[str, Any] = {
        "driver": "scsi-hd",
        "id": device_id(plug.volume_id, plug.generation),
        "bus": "scsi.0",
        "channel": 0,
        "scsi-id": plug.index,
        "lun": 0,
        "drive": node_name,
        "serial": plug.serial,
        "device_id": plug.serial[:20],
    }
    if plug.index == 0:
        found["bootindex"] = 0
    return found


def command(qemu: Qemu, home: Home, spec: ServerSpec, opened: list[tuple[Plug, Blockdev]]) -> list[str]:
    """QEMU's command line; to be run in the server's directory, where its sockets are."""
    words = [qemu.program, "-name", f"guest={spec.server_id},process=cyclades-{spec.server_id[:8]}"]
    words += ["-machine", f"q35,accel={qemu.accelerator}", "-cpu", cpu_of(qemu.accelerator)]
    words += ["-smp", str(spec.vcpus), "-m", f"{spec.memory}M", "-uuid", spec.server_id]
    words += ["-nodefaults", "-no-user-config", "-display", "none", "-sandbox", _SANDBOX]
    # A guest that powers off leaves its QEMU waiting, so that a death can be told from a shutdown.
    words += ["-action", "shutdown=pause,reboot=reset,panic=pause"]
    words += ["-pidfile", str(home.pid_file)]
    for name, socket in (("qmp", home.qmp), ("events", home.events), ("operator", home.operator)):
        words += ["-chardev", f"socket,id={name},path={socket.name},server=on,wait=off"]
        words += ["-mon", f"chardev={name},mode=control"]
    words += ["-chardev", f"file,id=console,path={_escaped(home.console)},append=on", "-serial", "chardev:console"]
    words += ["-device", "virtio-rng-pci", "-device", "virtio-scsi-pci,id=scsi"]
    for plug, blockdev in opened:
        top = node(plug, blockdev)
        words += ["-blockdev", json.dumps(top), "-device", json.dumps(device(plug, top["node-name"]))]
    for label in spec.config:
        drive = {"driver": "raw", "read-only": True, "node-name": label, "file": _file(home.drive(label))}
        words += ["-blockdev", json.dumps(drive), "-device", f"virtio-blk-pci,drive={label},serial={label}"]
    for i, nic in enumerate(spec.nics):
        words += ["-netdev", _network(nic, i), "-device", f"virtio-net-pci,netdev=net{i},mac={nic.mac},romfile="]
    return words


def _network(nic: Nic, i: int) -> str:
    """User-mode networking: the guest gets its address by DHCP and reaches nobody (`restrict`); the host reaches
    its ssh port at the forward address."""
    network = IPv4Interface(f"{nic.address}/{_SUBNET}").network
    return (
        f"user,id=net{i},restrict=on,ipv6=off,net={network},host={network[1]},dns={network[2]},dhcpstart={nic.address},"
        f"hostfwd=tcp:{nic.forward}:{SSH_PORT}-{nic.address}:22"
    )


def _file(path: Path) -> dict[str, Any]:
    return {"driver": "file", "filename": str(path)}


def _escaped(path: Path) -> str:
    """A comma ends a value in QEMU's own option syntax."""
    return str(path).replace(",", ",,")
