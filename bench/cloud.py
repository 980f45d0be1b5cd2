"""A cloud of our own, in a process of its own: started, looked at from outside, stopped."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from bench.endpoint import Broken, Endpoint, login
from bench.options import Login
from cyclades.backends.local import process
from cyclades.backends.local.home import Home

PAUSE = 0.002  # seconds between two looks of a client who waits
_PROGRAM = Path(sys.executable).parent / "cyclades"
_TICK = os.sysconf("SC_CLK_TCK")
# A project's own 100 volumes are too few to be counted.
_UNLIMITED = {f"CYCLADES_QUOTAS_{name}": "-1" for name in ("VOLUMES", "GIGABYTES", "SNAPSHOTS")}


class Cloud:
    """`cyclades up` on `directory`, as a context: it runs inside. `settings` are variables of its environment. `ready`
    is how many seconds it took to be ready."""

    def __init__(self, directory: Path, settings: Mapping[str, str] = {}) -> None:
        self.directory = directory
        self._environment = {**os.environ, **_UNLIMITED, **settings}
        self.ready = 0.0
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cloud:
        log = self.directory.with_suffix(".log")
        command = [str(_PROGRAM), "up", "--data", str(self.directory), "--port", str(self._port)]
        begun = time.monotonic()
        with log.open("ab") as errors:
            # A session of its own: Ctrl-C reaches this program alone, which then stops the cloud in order.
            self._process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.ready = time.monotonic() - begun
        if b"http://" not in line:
            raise Broken(f"The cloud did not start:\n{log.read_text()[-2000:]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()
            asyncio.run(self._end_guests())

    async def _end_guests(self) -> None:
        """By design they outlive the cloud."""
        for directory in (self.directory / "servers").glob("[!.]*"):
            await process.kill(Home(directory))

    async def endpoint(self, user: str = "demo") -> Endpoint:
        """As the user of the project of the same name; the other one is `admin`."""
        openrc = (self.directory / ("openrc" if user == "admin" else f"openrc-{user}")).read_text()
        password = re.search(r"^export OS_PASSWORD=(.+)$", openrc, re.MULTILINE)
        assert password is not None
        url = f"http://127.0.0.1:{self._port}/identity/v3"
        return await login(Login(url, user, password[1], user, "Default", "Default", None), pause=PAUSE)

    def home(self, server_id: str) -> Home:
        return Home(self.directory / "servers" / server_id)

    def accelerator(self) -> str:
        """What guests run under, once one has been started."""
        return (self.directory / "servers" / ".accelerator").read_text().split()[1].upper()

    def memory(self) -> int:
        """Resident bytes, shared pages of programs and libraries included."""
        found = re.search(r"^VmRSS:\s*(\d+) kB$", self._proc("status"), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def cpu(self) -> float:
        """Seconds of CPU that the process has used so far, with those of the programs that it ran and waited for."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICK

    def _proc(self, name: str) -> str:
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/{name}").read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
