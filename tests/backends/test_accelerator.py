"""KVM only where guests may use it, too."""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

from cyclades.backends.base import ServerSpec
from cyclades.backends.local import LocalBackend


@pytest.mark.parametrize("remembered", [None, "kvm"])
async def test_guests_may_use_what_was_chosen(remembered: str | None) -> None:
    """As root we may open /dev/kvm; guests' QEMUs are not root. And where KVM worked before, it need not do so now."""
    with tempfile.TemporaryDirectory(prefix="cyclades-") as name:
        Path(name).chmod(0o711)
        backend = LocalBackend("local", Path(name), accelerator="auto")
        if remembered is not None:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            (Path(name) / ".accelerator").write_text(f"{boot} {remembered}\n")
        spec = ServerSpec(str(uuid4()), "0" * 32, "one", vcpus=1, memory=64, plugs=())
        try:
            await backend.start(spec)
            assert (await backend.look(spec.server_id)).power == "running"
        finally:
            await backend.delete(spec.server_id)
            await backend.close()
