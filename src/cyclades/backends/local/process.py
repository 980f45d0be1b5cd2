"""QEMU's processes: started so that they outlive us, and ended for certain.

Where we are root, they run as a user without rights; where we are not, as ourselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import stat
import subprocess
import time
from pathlib import Path

from cyclades import qemu_errors
from cyclades.backends.local.home import Home
from cyclades.backends.local.qmp import connected
from cyclades.model.errors import Failed, Fault, Passing
from cyclades.threads import in_thread

START_SECONDS = 60.0
END_SECONDS = 10.0
_NICE = 5  # of guests, to us
_TRAVERSE = stat.S_IXOTH


class Guard:
    """Who QEMU runs as: `user` is the number of a user and a group of its own, None where we are not root or where
    that user could not reach `directory`."""

    def __init__(self, user: int, directory: Path) -> None:
        reachable = all(parent.stat().st_mode & _TRAVERSE for parent in (directory, *directory.parents))
        self.user = user if os.geteuid() == 0 and reachable else None

    def own(self, path: Path) -> None:
        """Give a file or a directory to QEMU's user."""
        if self.user is not None:
            os.chown(path, self.user, self.user)

    def prefix(self) -> list[str]:
        """What makes a command run as QEMU's user, who is also in the group that may use KVM."""
        if self.user is None:
            return []
        groups = "--clear-groups"
        with contextlib.suppress(FileNotFoundError):
            groups = f"--groups={os.stat('/dev/kvm').st_gid}"
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", groups, "--no-new-privs"]


async def start(command: list[str], home: Home, guard: Guard) -> None:
    """Run QEMU's command line in the server's directory; returns when QEMU answers. `Failed` with what it said."""
    reap()
    try:
        child = await in_thread(_spawn, [*guard.prefix(), *command], home)
    except OSError as error:
        raise Failed(f"QEMU did not start: {error}") from error
    deadline = time.monotonic() + START_SECONDS
    while not await _answers(home):
        if child.poll() is not None:
            raise _refused(home, child.returncode)
        if time.monotonic() > deadline:
            raise Passing("The server's QEMU started, but does not answer.")
        await asyncio.sleep(0.01)


def _spawn(command: list[str], home: Home) -> subprocess.Popen[bytes]:
    """Not with QEMU's own `-daemonize`, which its sandbox forbids; and not as a subprocess of the event loop, which
    would end it together with itself."""
    home.log.unlink(missing_ok=True)
    with home.log.open("ab") as log:
        child = subprocess.Popen(
            command, cwd=home.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _children.append(child)
    _after_us(child.pid)
    return child


def _after_us(pid: int) -> None:
    """The control plane, which needs the processors seldom and briefly, goes before guests."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
    # Where Linux groups processes by session, each session has a niceness of its own, and that of a process counts
    # only inside it.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICE))


async def _answers(home: Home) -> bool:
    if home.pid() is None or not home.qmp.exists():
        return False
    try:
        async with connected(home.qmp):
            return True
    except Passing:
        return False


def _refused(home: Home, code: int) -> Fault:
    said = home.log.read_text("utf-8", "replace")[-2000:].strip()
    return qemu_errors.fault("QEMU did not start", said or f"exit code {code}")


# Our children, until it is seen that they have ended.
_children: list[subprocess.Popen[bytes]] = []


def reap() -> None:
    """Take notice of children that have ended, so that the system can forget them."""
    _children[:] = [child for child in _children if child.poll() is None]


async def ended(home: Home, *, seconds: float) -> bool:
    """Wait until the server's QEMU is gone; False if it is still there after `seconds`."""
    reap()
    pid = home.pid()
    if pid is None:
        return True
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _done, gone)
    try:
        if home.pid() != pid or select.select([descriptor], [], [], 0)[0]:
            return True
        async with asyncio.timeout(seconds):
            await gone
        return True
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def kill(home: Home) -> None:
    """End the server's QEMU at once. `Passing` if it does not go (it hangs in the kernel)."""
    pid = home.pid()
    if pid is None:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The number was in the file while QEMU held its lock, and it still does: it is that process.
        if home.pid() == pid:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
    if not await ended(home, seconds=END_SECONDS):
        raise Passing("The server's QEMU does not end.")
