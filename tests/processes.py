"""The real program as processes on the loopback, for tests of commands and of whole clouds."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from cyclades.backends.local.home import Home

T = TypeVar("T")

PROGRAM = Path(sys.executable).with_name("cyclades")
LIMIT = 180.0  # seconds that anything may take before a test gives up


def environment(**settings: str) -> dict[str, str]:
    """Of a process: this one's, with these settings and no others; it listens where nobody else does."""
    host, port = free_address()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CYCLADES_")}
    return kept | {"CYCLADES_API_HOST": host, "CYCLADES_API_PORT": str(port)} | settings


def command(*words: str | Path, typed: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `cyclades` with these words to its end; `typed` is its standard input."""
    return subprocess.run(
        [PROGRAM, *words],
        env=environment(**settings),
        input=typed,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


class Process:
    """One `cyclades` that runs until it is told to stop. `privileges`: options of setpriv."""

    def __init__(self, log: Path, *words: str | Path, privileges: Sequence[str] = (), **settings: str) -> None:
        self.title = f"cyclades {words[0]}"
        self.ended = False  # as it was told to
        self._log = log
        _started.append(self)
        # It ends with us, however we end.
        whole = ["setpriv", "--pdeathsig=KILL", *privileges, PROGRAM, *words]
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                whole, env=environment(**settings), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        """What it said on standard error."""
        return self._log.read_text("utf-8", "replace")

    def ready(self) -> str:
        """Wait until it is; returns the line that says so."""
        out: IO[bytes] | None = self._process.stdout
        assert out is not None
        readable, _, _ = select.select([out], [], [], LIMIT)
        line = out.readline().decode() if readable else ""
        assert line, f"it did not become ready: {self.log()}"
        return line.strip()

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.send(number)
        code = self._process.wait(LIMIT)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.ended = True
        return code

    def kill(self) -> None:
        if not self.ended:
            self.stop(signal.SIGKILL)


_started: list[Process] = []


def running() -> list[Process]:
    """Those that have not been stopped or killed."""
    return [process for process in _started if not process.ended]


def free_address() -> tuple[str, int]:
    """A loopback address and a port on it that nobody has. Not 127.0.0.1, where another test's client could take the
    port before it is used."""
    host = f"127.{random.randint(200, 250)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
    with socket.socket() as probe:
        probe.bind((host, 0))
        return host, int(probe.getsockname()[1])


def wait_until(what: str, met: Callable[[], T | None]) -> T:
    """Ask until the answer is true, and return it."""
    give_up = time.monotonic() + LIMIT
    while not (found := met()):
        assert time.monotonic() < give_up, f"it is not so that {what}"
        time.sleep(0.05)
    return found


def guests(data: Path) -> dict[str, int]:
    """The process of each server's QEMU that runs in this data directory."""
    homes = [Home(path) for path in (data / "servers").glob("[!.]*")]
    return {home.server_id: pid for home in homes if (pid := home.pid()) is not None}


@contextmanager
def frozen(data: Path, server_id: str) -> Iterator[Callable[[], None]]:
    """Inside, the server's QEMU does nothing and answers nobody, so that what is asked of it stays in the middle.
    Yields what kills it."""
    descriptor = os.pidfd_open(guests(data)[server_id])

    def send(number: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)

    send(signal.SIGSTOP)
    try:
        yield lambda: send(signal.SIGKILL)
    finally:
        send(signal.SIGCONT)
        os.close(descriptor)


def end_guests(data: Path) -> None:
    """They outlive their cloud, not its test."""
    for pid in guests(data).values():
        os.kill(pid, signal.SIGKILL)
