"""What this machine has for guests."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path

from cyclades.backends.base import Capacity
from cyclades.model.errors import Away

_UPTIME = Path("/proc/uptime")
_VERSION = re.compile(r"version (\d+)\.(\d+)(?:\.(\d+))?")
_MIB = 1 << 20


async def of_this_machine(program: str) -> Capacity:
    """`program` is the QEMU that guests run under."""
    return Capacity(
        vcpus=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB,
        program="QEMU",
        version=await _version(program),
        booted_at=int((time.time() - float(_UPTIME.read_text().split()[0])) * 1_000_000),
    )


async def _version(program: str) -> tuple[int, int, int]:
    try:
        process = await asyncio.create_subprocess_exec(
            program, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise Away(f"{program} cannot be run: {error}") from error
    said, _ = await process.communicate()
    if (found := _VERSION.search(said.decode(errors="replace"))) is None:
        raise Away(f"{program} does not say its version.")
    return int(found[1]), int(found[2]), int(found[3] or 0)
