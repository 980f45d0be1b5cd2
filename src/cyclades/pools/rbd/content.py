"""Copying whole disks into RBD and out of it, with `qemu-img`: its librbd reads the key by itself, from the files that
the configuration names, so that no key is on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cyclades.model.units import GIB
from cyclades.pools import qemu_img
from cyclades.pools.base import Progress, no_progress
from cyclades.pools.qemu_img import Limits
from cyclades.pools.rbd.settings import RbdSettings

# librados starts some dozens of threads, each of which counts.
_ADDRESS_SPACE = 6 * GIB


async def fill(
    source: Path, source_format: str, settings: RbdSettings, image: str, size: int, progress: Progress = no_progress
) -> None:
    """Write a file of `size` bytes, as a guest would see them, into an image that is there and reads as zeros."""
    limits = Limits(_ADDRESS_SPACE, qemu_img.copy_limits(size, 0).cpu_seconds)
    await qemu_img.run(
        "convert", "-p", "-n", "--target-is-zero", "-f", source_format, "--target-image-opts",
        source.absolute(), _options(settings, image), limits=limits, progress=progress,
    )  # fmt: skip


async def take_out(
    settings: RbdSettings,
    image: str,
    snapshot: str | None,
    target: Path,
    target_format: str,
    progress: Progress = no_progress,
    *,
    fds: Sequence[int] = (),
) -> None:
    """Write an image, or one of its snapshots, to a new file; holes stay holes."""
    options = _options(settings, image) + (f",snapshot={snapshot}" if snapshot else "")
    await qemu_img.run(
        "convert", "-p", "-O", target_format, "--image-opts", options, target.absolute(), fds=fds, progress=progress
    )


def _options(settings: RbdSettings, image: str) -> str:
    """In QEMU's own syntax, where a comma ends a value. `rbd` is told as the format, so that none is guessed."""
    values = {
        "driver": "rbd",
        "pool": settings.ceph_pool,
        "image": image,
        "conf": str(settings.ceph_conf.absolute()),
        "user": settings.user,
    }
    return ",".join(f"{name}={value.replace(',', ',,')}" for name, value in values.items())
