"""KVM where it truly works, TCG where not.

That `/dev/kvm` opens proves nothing: on some nested hosts a guest dies or crawls under it. So a boot sector of
our own is booted, on the processor that guests get, and has to say a word on its serial port.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path

from cyclades.backends.local.process import Guard

_WORD = b"cyclades"
_SECONDS = 3.0  # TCG says the word within 0.3 s
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Real mode, at 0x7c00: for each byte of the word, out to COM1 (0x3f8); then halt.
_CODE = bytes.fromhex("31c0 8ed8 be167c baf803 fc ac 84c0 7403 ee ebf8 f4 ebfd".replace(" ", "")) + _WORD + b"\0"
_SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"


def cpu_of(accelerator: str) -> str:
    """The processor that a guest gets, in QEMU's word."""
    return "host" if accelerator == "kvm" else "max"


def forget(memory: Path) -> None:
    """Have it tried anew: a machine that is itself a guest may have moved to another host, in the middle of a boot."""
    memory.unlink(missing_ok=True)


async def choose(wanted: str, qemu: str, memory: Path, guard: Guard) -> str:
    """`kvm` or `tcg`. With `auto` KVM is tried once for each boot of the machine, as the user that guests run as;
    `memory` keeps the answer."""
    if wanted != "auto":
        return wanted
    boot = _BOOT_ID.read_text().strip()
    with contextlib.suppress(FileNotFoundError, ValueError):
        known_boot, answer = memory.read_text().split()
        if known_boot == boot:
            return answer
    answer = "kvm" if os.path.exists("/dev/kvm") and await boots("kvm", qemu, memory.parent, guard) else "tcg"
    memory.write_text(f"{boot} {answer}\n")
    return answer


async def boots(accelerator: str, qemu: str, where: Path, guard: Guard) -> bool:
    """Whether a guest runs under `accelerator`, in the directory `where` and with the rights that `guard` leaves it."""
    with tempfile.TemporaryDirectory(prefix=".", dir=where) as directory:
        disk = Path(directory) / "disk"
        disk.write_bytes(_SECTOR.ljust(64 * 1024, b"\0"))
        guard.own(Path(directory))
        guard.own(disk)
        words = ["-machine", f"pc,accel={accelerator}", "-cpu", cpu_of(accelerator)]
        words += ["-m", "16", "-nodefaults", "-no-user-config"]
        words += ["-display", "none"]
        words += ["-serial", "stdio", "-drive", f"file={disk},format=raw,if=ide"]
        try:
            process = await asyncio.create_subprocess_exec(
                *guard.prefix(),
                qemu,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError:
            return False  # the server's own start will say why
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_SECONDS):
                await process.stdout.readuntil(_WORD)
        except (TimeoutError, asyncio.IncompleteReadError):
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return True
