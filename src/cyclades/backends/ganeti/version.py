"""What differs between the versions of Ganeti that we speak to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cyclades.model.errors import Failed

_FORM = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_OLDEST = (3, 0, 0)
_KVM = "kvm"


@dataclass(frozen=True)
class Version:
    """Of a cluster whose instances run under `hypervisor`."""

    number: tuple[int, int, int]
    hypervisor: str = _KVM

    @property
    def access(self) -> str:
        """How a guest's QEMU opens a disk of our provider: 3.0 cannot hot-plug block devices into a present-day QEMU,
        3.1 knows no addresses of files. Others than QEMU know block devices alone."""
        return "userspace" if self.number < (3, 1, 0) and self.hypervisor == _KVM else "kernelspace"

    @property
    def attaches_ext(self) -> bool:
        """Whether a detached disk of a provider can be attached again (ganeti #1583)."""
        return self.number >= (3, 1, 0)


def of(info: dict[str, Any], hypervisor: str = _KVM) -> Version:
    """From what RAPI says of the cluster (`3.1.0~rc2`)."""
    found = _FORM.match(str(info.get("software_version")))
    number = (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
    if number < _OLDEST:
        raise Failed(f"Ganeti {info.get('software_version')} is too old for Cyclades, which needs 3.0 at least.")
    return Version(number, hypervisor)
