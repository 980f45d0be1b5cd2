"""The engine's side of the worker: started when it is needed, started anew when it died, never waited for without a
limit.

A call that is not answered in time is `Away`, with the reason that Ceph's monitors tell, or that they do not answer
either. If Ceph is at fault, the worker is killed with all that it has under way, and the next one has it fenced
(`osd blocklist`) before it does anything: so nothing takes effect late. If Ceph looks well, one image's QEMU hangs:
then the call alone is given up, and its disk stays locked until it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from cyclades.model.errors import Away, Failed, Fault, Passing
from cyclades.pools.base import Progress, no_progress
from cyclades.pools.rbd.settings import RbdSettings
from cyclades.threads import in_thread

_log = structlog.get_logger()

PATIENCE = 30.0  # seconds without a word from a call
_LOCK_PATIENCE = 10.0  # seconds that are waited for another's work
_LOCK_PAUSES = 0.005, 0.1
_START = 20.0  # seconds until a worker has its connection, if nothing is wrong
_DIAGNOSIS = 30.0  # seconds in which Ceph's monitors tell what is wrong; the worker gives up by itself before
_SILENT = "Ceph does not answer."
# Puts the package `worker` on the path, and nothing else that is ours: that Python has none of what we need.
_PROGRAM = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_module('worker', run_name='__main__')"
_FAULTS = {"failed": Failed, "passing": Passing, "away": Away, "fenced": Away}

_Message = dict[str, Any]


class _Worker:
    """One process. Its answers are read by a thread, so that calls may come from any event loop."""

    def __init__(self, settings: RbdSettings, before: list[str]) -> None:
        self.ready: Future[list[str]] = Future()
        self._numbers = itertools.count()
        self._calls: dict[int, Callable[[_Message], None]] = {}
        self._guard = threading.Lock()
        self._process = subprocess.Popen(
            [settings.python, "-I", "-c", _PROGRAM, str(Path(__file__).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._say(
            {
                "conf": str(settings.ceph_conf),
                "user": settings.user,
                "keyring": str(settings.keyring) if settings.keyring else None,
                "pool": settings.ceph_pool,
                "before": before,
            }
        )
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def is_up(self) -> bool:
        return self._process.poll() is None

    def ask(self, do: str, arguments: _Message, hear: Callable[[_Message], None]) -> int:
        """`hear` is called in another thread, for each message about this request."""
        with self._guard:
            number = next(self._numbers)
            self._calls[number] = hear
        self._say({"id": number, "do": do, "with": arguments})
        return number

    def hear(self, number: int, hear: Callable[[_Message], None]) -> None:
        """Have another listen to what comes of a request."""
        with self._guard:
            if number in self._calls:
                self._calls[number] = hear

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """It ends by itself then, and lets go of what it holds."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _say(self, message: _Message) -> None:
        assert self._process.stdin is not None
        line = json.dumps(message).encode() + b"\n"
        with self._guard, contextlib.suppress(OSError):  # the listener finds out that it died
            self._process.stdin.write(line)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                message: _Message = json.loads(line)
                if "ready" in message:
                    self.ready.set_result(message["ready"])
                elif "id" not in message:
                    self.ready.set_exception(_FAULTS[message["fault"]](message["why"]))
                else:
                    with self._guard:
                        is_last = "progress" not in message
                        hear = self._calls.pop(message["id"], None) if is_last else self._calls.get(message["id"])
                    if hear is not None:
                        hear(message)
        self._process.wait()
        if not self.ready.done():
            self.ready.set_exception(Away("The program that speaks to Ceph does not start."))
        with self._guard:
            left, self._calls = list(self._calls.values()), {}
        for hear in left:
            hear({"fault": "away", "why": "The program that speaks to Ceph ended; it is started again."})


class Link:
    def __init__(self, settings: RbdSettings, *, patience: float = PATIENCE) -> None:
        self._settings, self._patience = settings, patience
        self._worker: _Worker | None = None
        self._starting = threading.Lock()
        self._before: list[str] = []  # addresses of workers that died, until they are fenced
        self._late: dict[str, str] = {}  # disk → why a call that was given up still holds it

    async def call(
        self, do: str, progress: Progress = no_progress, *, held: Held | None = None, **arguments: Any
    ) -> Any:
        """Have the worker do something. `held`: the lock under which it is done."""
        worker = await in_thread(self._ready)
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[_Message] = asyncio.Queue()

        def hear(message: _Message) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(heard.put_nowait, message)

        number = await in_thread(worker.ask, do, arguments, hear)
        try:
            patience = _DIAGNOSIS if do == "trouble" else self._patience
            while "progress" in (message := await asyncio.wait_for(heard.get(), patience)):
                await progress(message["progress"])
        except TimeoutError:
            raise await self._given_up(worker, number, do, held) from None
        except asyncio.CancelledError:
            self._leave(worker, number, held, "The disk is busy with an operation that was given up.")
            raise
        if "fault" in message:
            raise _FAULTS[message["fault"]](message["why"])
        return message["ok"]

    @asynccontextmanager
    async def hold(self, disk: str, *, patience: float = _LOCK_PATIENCE) -> AsyncIterator[Held]:
        """Hold the disk's lock. `Passing` if it is not free within `patience` seconds."""
        loop = asyncio.get_running_loop()
        until, (pause, longest) = loop.time() + patience, _LOCK_PAUSES
        while (cookie := await self.call("lock", disk=disk)) is None:
            if disk in self._late:
                raise Away(self._late[disk])
            if loop.time() >= until:
                raise Passing("The disk is busy with another operation.")
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        held = Held(disk, cookie)
        try:
            yield held
        finally:
            if not held.left:
                with contextlib.suppress(Fault):  # its lease runs out
                    await self.call("unlock", cookie=cookie)

    def close(self) -> None:
        with self._starting:
            if self._worker is not None:
                self._worker.close()
            self._worker = None

    def _ready(self) -> _Worker:
        """Blocks until a worker has its connection. One starts, the others wait for it."""
        with self._starting:
            if self._worker is None or not self._worker.is_up:
                self._worker = _Worker(self._settings, self._before)
            worker = self._worker
            try:
                addresses = worker.ready.result(_START + self._patience)
            except TimeoutError:
                worker.kill()
                raise Away(_SILENT) from None
            if addresses is not self._before:
                self._before = addresses
            return worker

    async def _given_up(self, worker: _Worker, number: int, do: str, held: Held | None) -> Fault:
        if do == "trouble":
            worker.kill()
            return Away(_SILENT)
        try:
            why = await self.call("trouble")
        except Fault as fault:
            why = str(fault)
        if why is None:
            why = "A program that has the disk open does not answer Ceph."
            self._leave(worker, number, held, why)
        else:
            worker.kill()
        _log.warning("rbd.silent", pool=self._settings.ceph_pool, verb=do, reason=why)
        return Away(why)

    def _leave(self, worker: _Worker, number: int, held: Held | None, why: str) -> None:
        """Nobody waits any more; the lock stays until the worker is done."""
        if held is None:
            return
        held.left = True
        self._late[held.disk] = why

        def hear(message: _Message) -> None:
            if "progress" not in message:
                self._late.pop(held.disk, None)
                if worker.is_up:
                    worker.ask("unlock", {"cookie": held.cookie}, lambda message: None)

        worker.hear(number, hear)


class Held:
    """A lock on a disk. `left`: a call goes on under it that nobody waits for."""

    def __init__(self, disk: str, cookie: str) -> None:
        self.disk, self.cookie = disk, cookie
        self.left = False
