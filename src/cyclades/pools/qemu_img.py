"""Every run of `qemu-img`: no shell, formats always told and never guessed, limits where a user wrote the file.

Errors: `Full` when there is no space, `Passing` when another program has a file open, `Failed` for the rest.
What the user reads has no paths in it; the whole text goes to the log.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from cyclades import qemu_errors
from cyclades.model.errors import Failed, Fault, Full, Invalid
from cyclades.model.units import GIB, KIB, MIB
from cyclades.pools.base import Progress, no_progress

_log = structlog.get_logger()

_PROGRESS = re.compile(rb"\((\d+\.\d+)/100%\)")
_MOST_OUTPUT = 64 * KIB
_MOST_ERRORS = 2 * KIB
_ADDRESS_SPACE = 2 * GIB
_STACK = MIB  # of a thread: qemu-img starts dozens, and the address space counts them whole
_CPU_SECONDS = 60
_SLOWEST = 20 * MIB  # bytes in a second of CPU that a copy must manage at least
_SIGNALS = {-signal.SIGKILL: "it was killed", -signal.SIGXCPU: "it took too long"}


@dataclass(frozen=True)
class Limits:
    """What one run may use: bytes of address space, seconds of CPU, bytes of one written file (None: any)."""

    address_space: int = _ADDRESS_SPACE
    cpu_seconds: int = _CPU_SECONDS
    file_size: int | None = None

    def command(self) -> list[str]:
        command = ["prlimit", f"--as={self.address_space}", f"--stack={_STACK}", f"--cpu={self.cpu_seconds}"]
        command.append("--core=0")
        if self.file_size is not None:
            command.append(f"--fsize={self.file_size}")
        return [*command, "--", "env", "MALLOC_ARENA_MAX=1"]  # an arena for each thread would count, too


class QemuImgError(Failed):
    """`code` is the exit code; negative: the signal."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


async def run(
    *args: str | Path,
    limits: Limits | None = None,
    fds: Sequence[int] = (),
    progress: Progress | None = None,
    fine: Sequence[int] = (0,),
) -> str:
    """Run `qemu-img ARGS` and return what it wrote. `fds` are kept open in it, so that a lock on one lasts as long
    as it runs. Exit codes besides `fine` are errors. Cancelled: it is killed, and gone when this returns."""
    for path in (arg for arg in args if isinstance(arg, Path)):
        if not path.is_absolute():
            raise ValueError(f"{path}: a relative name could be taken for a protocol")
    command = [*(limits.command() if limits else ()), "qemu-img", *map(str, args)]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=tuple(fds),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        output, errors, _ = await asyncio.gather(_read(process.stdout, progress), _last(process.stderr), process.wait())
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
    assert process.returncode is not None
    if process.returncode not in fine:
        raise _fault(args, process.returncode, errors.decode(errors="replace").strip())
    return output.decode(errors="replace")


async def _read(stream: asyncio.StreamReader, progress: Progress | None) -> bytes:
    output, told = b"", 0.0
    while chunk := await stream.read(_MOST_OUTPUT):
        if progress is None:
            output = (output + chunk)[:_MOST_OUTPUT]
            continue
        for found in _PROGRESS.findall(chunk)[-1:]:
            if (fraction := float(found) / 100) > told:
                told = fraction
                await progress(fraction)
    return output


async def _last(stream: asyncio.StreamReader) -> bytes:
    """The end of what was said: about a corrupt image there may be no end of complaints."""
    output = b""
    while chunk := await stream.read(_MOST_OUTPUT):
        output = (output + chunk)[-_MOST_ERRORS:]
    return output


def _fault(args: Sequence[str | Path], code: int, errors: str) -> Fault:
    _log.warning("qemu-img failed", args=[str(arg) for arg in args], code=code, errors=errors)
    if code == -signal.SIGXFSZ:
        return Full(qemu_errors.FULL)
    return fault(f"qemu-img {args[0]}", _SIGNALS.get(code) or errors or f"exit code {code}", code)


def fault(what: str, errors: str, code: int = 1) -> Fault:
    """What QEMU's own words for an error mean."""
    found = qemu_errors.fault(f"{what} failed", errors)
    return QemuImgError(str(found), code) if type(found) is Failed else found


async def info(path: Path, file_format: str, *, limits: Limits | None = None) -> dict[str, Any]:
    """qemu-img's own description of one file (not of those below it), also while a QEMU has it open."""
    answer: dict[str, Any] = json.loads(
        await run("info", "-U", "--output=json", "-f", file_format, path, limits=limits)
    )
    return answer


async def resize(path: Path, size: int, *, fds: Sequence[int] = ()) -> None:
    await run("resize", "-q", "-f", "qcow2", path, str(size), fds=fds)


async def commit(path: Path, *, fds: Sequence[int] = ()) -> None:
    """Copy what the layer `path` holds into the one below it, which grows to its size; `path` stays as it is."""
    await run("commit", "-q", "-d", "-f", "qcow2", path, fds=fds)


async def convert(
    source: Path,
    source_format: str,
    target: Path,
    target_format: str,
    *,
    limits: Limits | None = None,
    fds: Sequence[int] = (),
    progress: Progress = no_progress,
) -> None:
    """Copy a whole image, what lies below it included, into a new file; holes stay holes."""
    await run(
        "convert", "-p", "-f", source_format, "-O", target_format, source, target,
        limits=limits, fds=fds, progress=progress,
    )  # fmt: skip


def copy_limits(virtual_size: int, file_size: int) -> Limits:
    """For a copy of a user's image: seconds that suffice for its `virtual_size`, and `file_size` bytes to write."""
    return Limits(cpu_seconds=_CPU_SECONDS + virtual_size // _SLOWEST, file_size=file_size)


async def check(path: Path, file_format: str) -> None:
    """Whether a user's image is whole: `Invalid` if it is cut off, corrupt, or takes too much to read. To be called
    after `image_format.inspect` accepted its header; the file must not change until this returns."""
    if file_format == "raw":
        return  # any bytes are a raw image
    try:
        # 3: clusters that nothing uses, which harms nobody.
        await run(
            "check", "-q", "--output=json", "-f", file_format, path, limits=Limits(), fine=(0, 3)
        )  # fmt: skip
    except QemuImgError as error:
        raise Invalid(
            "image-broken",
            f"The image is not a whole {file_format}: it is cut off, corrupt, or takes too much to read.",
            field="disk_format",
        ) from error
