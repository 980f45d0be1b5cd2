"""KVM only where guests may use it, too."""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import uuid4

from cyclades.backends.base import ServerSpec
from cyclades.backends.local import LocalBackend


async def test_guests_may_use_what_was_chosen() -> None:
    """As root we may open /dev/kvm; guests' QEMUs are not root."""
    with tempfile.TemporaryDirectory(prefix="cyclades-") as name:
        Path(name).chmod(0o711)
        backend = LocalBackend("local", Path(name), accelerator="auto")
        spec = ServerSpec(str(uuid4()), "0" * 32, "one", vcpus=1, memory=64, plugs=())
        try:
            await backend.start(spec)
            assert (await backend.look(spec.server_id)).power == "running"
        finally:
            await backend.delete(spec.server_id)
            await backend.close()
