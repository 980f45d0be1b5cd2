"""From the request to attach a volume until a real guest sees the disk, beside what QEMU and the guest take for it
alone: the same two QMP commands, given by us to the same QEMU.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Any

from bench import guest_image
from bench.cloud import Cloud
from bench.endpoint import PATIENCE, Broken, Endpoint, Service
from bench.figures import Report, ms, p50, spread
from bench.options import Options
from cyclades.api.http.times import parse
from cyclades.backends.local.home import Home
from cyclades.backends.local.qmp import Monitor, connected
from cyclades.model.units import GIB
from cyclades.pools.qcow2 import header

_LOOK = 0.001  # seconds between looks at the console
_OUR_TARGET = 200  # on the guest's SCSI bus, far from those of its volumes


async def measure(options: Options, report: Report, endpoint: Endpoint, cloud: Cloud) -> None:
    compute = endpoint.compute
    assert compute is not None
    server_id = await _boot(endpoint, compute)
    home = cloud.home(server_id)
    guest = _Console(home.console)
    await guest.says(r"^SSH ")
    volume_id = await endpoint.make("volume", {"size": 1, "name": "bench"})
    await endpoint.volume.until(f"/volumes/{volume_id}", "volume", "available")
    attached, told, bare, command = [], [], [], []
    async with connected(home.operator) as monitor:
        for number in range(options.rounds + 1):
            for_guest, for_client = await _attach(endpoint, compute, guest, server_id, volume_id)
            for_qemu, for_bare_guest = await _plug(monitor, guest, home, f"bench-{number}")
            if number:  # the first round warms up
                attached.append(for_guest)
                told.append(for_client)
                bare.append(for_bare_guest)
                command.append(for_qemu)
    await compute.ask("DELETE", f"/servers/{server_id}")
    await compute.until_gone(f"/servers/{server_id}")
    await endpoint.clean()
    report.note(f"The guest ran under {cloud.accelerator()}.")
    report.add("POST attachment → guest sees it", spread(attached), "p50 300 ms")
    report.add("the bare QMP commands → guest sees it", spread(bare))
    report.add("our own share: the difference", ms(p50(attached) - p50(bare)), "30 ms")
    report.add("POST attachment → in-use", spread(told))
    report.add("the bare QMP commands → answered", spread(command))


async def _boot(endpoint: Endpoint, compute: Service) -> str:
    """The id of a server whose guest boots."""
    image_id = await guest_image.upload(endpoint)
    flavors = (await compute.ask("GET", "/flavors/detail"))["flavors"]
    flavor = min((each for each in flavors if each["ram"] >= 96), key=lambda each: int(each["ram"]))
    wanted = {"name": "bench", "imageRef": image_id, "flavorRef": flavor["id"], "networks": "auto"}
    server_id = str((await compute.ask("POST", "/servers", {"server": wanted}))["server"]["id"])
    await compute.until(f"/servers/{server_id}", "server", "ACTIVE")
    return server_id


async def _attach(
    endpoint: Endpoint, compute: Service, guest: _Console, server_id: str, volume_id: str
) -> tuple[float, float]:
    """Attach the volume, and detach it again. Seconds until the guest saw it, and until it was in-use."""
    path = f"/servers/{server_id}/os-volume_attachments"
    guest.skip()
    begun, clock = time.perf_counter(), time.time()
    await compute.ask("POST", path, {"volumeAttachment": {"volumeId": volume_id}})
    seen = await guest.says(f"^DISKS.*={volume_id}:")
    volume = await endpoint.volume.until(f"/volumes/{volume_id}", "volume", "in-use")
    told = parse(volume["attachments"][0]["attached_at"]) / 1_000_000
    guest.skip()
    await compute.ask("DELETE", f"{path}/{volume_id}")
    await guest.says("^DISKS ")
    await endpoint.volume.until(f"/volumes/{volume_id}", "volume", "available")
    return seen - begun, told - clock


async def _plug(monitor: Monitor, guest: _Console, home: Home, serial: str) -> tuple[float, float]:
    """Plug a file in without anybody's help, and unplug it again. Seconds until QEMU had answered, and until the
    guest saw it."""
    path = home.directory / f"{serial}.qcow2"
    header.write_empty(path, GIB, None)
    owner = home.directory.stat()  # who that QEMU runs as
    os.chown(path, owner.st_uid, owner.st_gid)
    node = {"driver": "qcow2", "node-name": serial, "discard": "unmap"}
    node["file"] = {"driver": "file", "filename": str(path)}  # type: ignore[assignment]
    device: dict[str, Any] = {"driver": "scsi-hd", "id": serial, "bus": "scsi.0", "channel": 0, "lun": 0}
    device |= {"scsi-id": _OUR_TARGET, "drive": serial, "serial": serial}
    guest.skip()
    begun = time.perf_counter()
    await monitor.command("blockdev-add", node)
    await monitor.command("device_add", device)
    answered = time.perf_counter()
    seen = await guest.says(f"^DISKS.*={serial}:")
    guest.skip()
    with monitor.listening("DEVICE_DELETED") as events:
        await monitor.command("device_del", {"id": serial})
        async with asyncio.timeout(PATIENCE):
            while (await events.get())["data"].get("device") != serial:
                pass
    await monitor.command("blockdev-del", {"node-name": serial})
    await guest.says("^DISKS ")
    path.unlink()
    return answered - begun, seen - begun


class _Console:
    """What the guest writes to its serial line."""

    def __init__(self, path: Path) -> None:
        self._path, self._from = path, 0

    def skip(self) -> None:
        """Pass over what it has said so far."""
        self._from = self._path.stat().st_size

    async def says(self, pattern: str) -> float:
        """When (`time.perf_counter`) it had said a line that begins so; what was skipped does not count."""
        wanted, size = re.compile(pattern.encode(), re.MULTILINE), 0
        give_up = time.perf_counter() + PATIENCE
        while (now := time.perf_counter()) < give_up:
            if (grown := self._size()) != size:
                size = grown
                if wanted.search(self._path.read_bytes()[self._from :]):
                    return now
            await asyncio.sleep(_LOOK)
        raise Broken(f"The guest never said {pattern}; its console ends: {self._path.read_bytes()[-1000:]!r}")

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0
