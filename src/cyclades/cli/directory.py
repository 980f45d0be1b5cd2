"""The data directory of a cloud that runs in one process."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cyclades.cli.refused import Refused
from cyclades.engine.world import make_directory


@contextmanager
def alone_in(data: Path) -> Iterator[None]:
    """Inside, no `cyclades up` of another process runs on this directory. The lock is gone with the process, however
    that ends."""
    try:
        make_directory(data)
        file = (data / "lock").open("a")
    except OSError as error:
        raise Refused(f"{data} cannot be used: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"Another `cyclades up` runs on {data}.") from None
        yield
