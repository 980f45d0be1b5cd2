"""How long volumes, snapshots and clones take to be available, as a client sees it who asks again and again."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from bench.cloud import Cloud
from bench.endpoint import Endpoint
from bench.figures import Report, ms, p50, spread
from bench.options import Options
from cyclades.model.names import volume_disk
from cyclades.store import layers
from cyclades.store.database import Database

_PIECES = 64  # pieces of data that the volumes have which are snapshot and cloned
_PIECE = 64 << 10  # bytes


async def create(options: Options, report: Report, endpoint: Endpoint) -> None:
    taken = []
    for i in range(options.rounds + 1):
        _, seconds = await _timed(endpoint, "volume", {"size": 1, "name": f"bench-{i}"})
        taken.append(seconds)
    report.add("POST volume → available", spread(taken[1:]), "p50 60 ms")  # the first one warms up
    report.note(f"Clients that wait look every {ms(endpoint.volume.pause)}.")
    await endpoint.clean()


async def clone(options: Options, report: Report, endpoint: Endpoint, cloud: Cloud | None) -> None:
    """Small and large by turns, so that what else the machine does harms both alike."""
    sizes = (1, options.large)
    sources = {size: (await _timed(endpoint, "volume", {"size": size, "name": f"bench-{size}"}))[0] for size in sizes}
    if cloud is not None:
        for size, volume_id in sources.items():
            _write(_file(cloud, volume_id), size)
    taken: dict[tuple[str, int], list[float]] = {}
    for i in range(options.rounds + 1):
        for size, volume_id in sources.items():
            kinds: dict[str, tuple[str, dict[str, Any]]] = {
                "snapshot": ("snapshot", {"volume_id": volume_id}),
                "volume from snapshot": ("volume", {"size": size}),
                "volume from volume": ("volume", {"size": size, "source_volid": volume_id}),
            }
            made: dict[str, str] = {}
            for name, (kind, body) in kinds.items():
                if name == "volume from snapshot":
                    body["snapshot_id"] = made["snapshot"]
                made[name], seconds = await _timed(endpoint, kind, {**body, "name": "bench"})
                if i:  # the first round warms up
                    taken.setdefault((name, size), []).append(seconds)
            await endpoint.delete(
                [f"/volumes/{made['volume from snapshot']}", f"/volumes/{made['volume from volume']}"]
            )
            await endpoint.delete([f"/snapshots/{made['snapshot']}"])
    await endpoint.clean()
    for name in dict.fromkeys(name for name, _ in taken):
        small, large = (p50(taken[name, size]) for size in sizes)
        text = f"{large / small:.2f} times that of 1 GiB (p50 {ms(large)} / {ms(small)})"
        report.add(f"{name}, {options.large} GiB → available", text, "1.2 times")


async def _timed(endpoint: Endpoint, kind: str, body: dict[str, Any]) -> tuple[str, float]:
    """The id of what was made, and the seconds until it was available."""
    begun = time.perf_counter()
    made = await endpoint.make(kind, body)
    await endpoint.volume.until(f"/{kind}s/{made}", kind, "available")
    return made, time.perf_counter() - begun


def _file(cloud: Cloud, volume_id: str) -> Path:
    """The file of a volume's top layer."""
    db = Database(f"sqlite:///{cloud.directory}/cyclades.db")
    try:
        disk = db.read_now(lambda tx: layers.find(tx, "local", volume_disk(volume_id)))
    finally:
        db.close()
    assert disk is not None
    return cloud.directory / "pools" / "local" / "layers" / f"{disk.layer_id}.qcow2"


def _write(path: Path, size: int) -> None:
    """Some data, all over a volume of `size` GiB."""
    step = (size << 30) // _PIECES
    words = [word for i in range(_PIECES) for word in ("-c", f"write -P 7 {i * step} {_PIECE}")]
    subprocess.run(["qemu-io", "-f", "qcow2", *words, str(path)], check=True, stdout=subprocess.DEVNULL)
