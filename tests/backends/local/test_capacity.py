"""What a machine has for guests."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cyclades.backends.local import capacity
from cyclades.model.errors import Away


async def test_of_this_machine() -> None:
    found = await capacity.of_this_machine("qemu-system-x86_64")
    assert found.vcpus == os.cpu_count()
    total = int(
        next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    )
    assert found.memory == total // 1024
    assert found.version >= (7, 0, 0)
    assert found.booted_at is not None
    assert 0 < found.booted_at < time.time() * 1_000_000


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(Away):
        await capacity.of_this_machine("no-such-qemu")
    with pytest.raises(Away):
        await capacity.of_this_machine("true")
