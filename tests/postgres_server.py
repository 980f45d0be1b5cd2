"""A private PostgreSQL for one run of the tests: `python postgres_server.py READY_FILE WATCHED_PID`.

Makes a cluster in a directory of its own, writes the URL of its server to READY_FILE once it answers, and
removes everything when the watched process (pytest's main one) has ended, however it ended. The server
listens on a unix socket only. What goes wrong is written to READY_FILE too, as a line that begins with `error`.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

USER = "cyclades"
_START_SECONDS = 120

# What a crash of the machine would cost does not matter here.
_SETTINGS = """
listen_addresses = ''
max_connections = 200
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = 64MB
"""


def program(name: str) -> Path | None:
    """A program of the newest PostgreSQL installed, or None. Debian keeps them outside PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = [path / name for path in reversed(versions) if (path / name).exists()]
    if found:
        return found[0]
    in_path = shutil.which(name)
    return Path(in_path) if in_path else None


def _as_ordinary_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command] if _is_root() else command


def _is_root() -> bool:
    return os.geteuid() == 0


def _start(directory: Path) -> subprocess.Popen[bytes]:
    if _is_root():
        shutil.chown(directory, "postgres", "postgres")
    data = directory / "data"
    initdb = [str(program("initdb")), "-D", str(data), "-U", USER, "--auth=trust"]
    initdb += ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(_as_ordinary_user(initdb), cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(_SETTINGS + f"unix_socket_directories = '{directory}'\n")
    command = _as_ordinary_user([str(program("postgres")), "-D", str(data)])
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    is_ready = [str(program("pg_isready")), "-q", "-h", str(directory)]
    give_up = time.monotonic() + _START_SECONDS
    while subprocess.run(is_ready, check=False).returncode:
        if server.poll() is not None or time.monotonic() > give_up:
            server.kill()
            raise RuntimeError((directory / "log").read_text())
        time.sleep(0.05)
    return server


def _publish(ready: Path, text: str) -> None:
    partial = ready.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(ready)


def main(ready: Path, watched: int) -> None:
    watched_fd = os.pidfd_open(watched)
    directory = Path(tempfile.mkdtemp(prefix="cyclades-pg-", dir="/tmp"))  # a socket's path may not be long
    try:
        try:
            server = _start(directory)
        except Exception as error:
            _publish(ready, f"error: {error}")
            raise
        try:
            _publish(ready, f"postgresql+psycopg://{USER}@/postgres?host={directory}")
            select.select([watched_fd], [], [])
        finally:
            server.send_signal(signal.SIGQUIT)  # at once, without a checkpoint
            server.wait()
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
