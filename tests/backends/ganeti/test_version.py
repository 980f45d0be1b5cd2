"""What Ganeti's versions are told from each other by."""

from __future__ import annotations

import pytest

from cyclades.backends.ganeti import version
from cyclades.model.errors import Failed


@pytest.mark.parametrize(
    ("said", "hypervisor", "number", "access", "attaches"),
    [
        ("3.0.2", "kvm", (3, 0, 2), "userspace", False),
        ("3.0.2", "fake", (3, 0, 2), "kernelspace", False),
        ("3.1.0~rc2", "kvm", (3, 1, 0), "kernelspace", True),
        ("3.1.1", "kvm", (3, 1, 1), "kernelspace", True),
        ("4.0.0", "kvm", (4, 0, 0), "kernelspace", True),
    ],
)
def test_versions(said: str, hypervisor: str, number: tuple[int, ...], access: str, attaches: bool) -> None:
    found = version.of({"software_version": said}, hypervisor)
    assert (found.number, found.access, found.attaches_ext) == (number, access, attaches)


@pytest.mark.parametrize("said", ["2.16.2", "", None, "soon"])
def test_what_is_too_old_is_refused(said: str | None) -> None:
    with pytest.raises(Failed, match=r"needs 3\.0"):
        version.of({"software_version": said})
