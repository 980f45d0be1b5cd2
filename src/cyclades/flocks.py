"""Locks between processes of one machine (and over NFS), as flocks on files of their own.

A killed process's locks are free at once, except those that a program it started still holds: that must
finish first. Order, so that nobody waits in a circle: a disk, its layers from the top down, a server.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cyclades.model.errors import Passing

PATIENCE = 10.0  # seconds that are waited for another's work; then the engine tries again later
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


@asynccontextmanager
async def hold(
    path: Path, *, what: str = "disk", shared: bool = False, patience: float = PATIENCE
) -> AsyncIterator[int]:
    """Hold the lock whose file is `path`. Yields a descriptor: whoever inherits it holds the lock as well.
    `Passing` if it is not free within `patience` seconds;
    `what` says of what it is."""
    descriptor = await _take(path, what, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, patience)
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # not LOCK_UN: that would take it from a child that inherited it, too


def forget(path: Path) -> None:
    """Remove the file of a lock that is held now, since what it guards is gone."""
    path.unlink(missing_ok=True)


async def _take(path: Path, what: str, kind: int, patience: float) -> int:
    until, pause = time.monotonic() + patience, _FIRST_PAUSE
    while (descriptor := await _try_in_thread(path, kind)) is None:
        if time.monotonic() >= until:
            raise Passing(f"The {what} is busy with another operation.")
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    return descriptor


async def _try_in_thread(path: Path, kind: int) -> int | None:
    """Making a file waits while the file system writes. Who does not wait for the lock any more does not get it."""
    trying = asyncio.get_running_loop().run_in_executor(None, _try, path, kind)
    try:
        return await asyncio.shield(trying)
    except asyncio.CancelledError:
        trying.add_done_callback(_let_go)
        raise


def _let_go(trying: asyncio.Future[int | None]) -> None:
    if not trying.cancelled() and trying.exception() is None and (descriptor := trying.result()) is not None:
        os.close(descriptor)


def _try(path: Path, kind: int) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        if _is_at(descriptor, path):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the file was not removed between opening and locking it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
