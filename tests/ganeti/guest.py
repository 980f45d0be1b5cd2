"""The small guest for KVM instances: from its disk image, or by kernel and initial file system, which leaves all of an
instance's disks to the test."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kernel:
    """Two files that all nodes see."""

    kernel: Path
    initrd: Path

    @property
    def hvparams(self) -> dict[str, str]:
        """An instance's, with which it boots the guest."""
        arguments = "console=ttyS0 quiet panic=1 tsc=reliable no_timer_check"
        # Ganeti adds the root_path to the arguments, and refuses none. The guest does not look at it.
        paths = {"kernel_path": str(self.kernel), "initrd_path": str(self.initrd), "root_path": "/dev/vda"}
        return {**paths, "kernel_args": arguments}


def unpack(image: Path, directory: Path) -> Kernel:
    """Take them out of the small guest's disk image (`guest_image`)."""
    if directory.exists():
        return Kernel(directory / "vmlinuz", directory / "initrd.img")
    directory.mkdir()
    raw = image.with_suffix(".raw")
    subprocess.run(["mcopy", "-i", raw, "::vmlinuz", "::initrd.img", directory], check=True)
    return Kernel(directory / "vmlinuz", directory / "initrd.img")
