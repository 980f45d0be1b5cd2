"""One JSON object a line, both ways.

In comes first `{"conf", "user", "keyring", "pool", "before"}` (`before`: addresses of a worker that is to have no more
effect), then requests `{"id", "do", "with"}`. Out go `{"ready": addresses}`, then for each request
any number of `{"id", "progress"}` and one of `{"id", "ok"}` and `{"id", "fault", "why"}`; `fault` is the
name of an error in `model/errors.py`, in small letters. Requests are answered as they are done, not in their order.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from .cluster import Cluster, Refused, explain
from .disks import Disks

_THREADS = 16
_GOODBYE_SECONDS = 3.0
_PROGRESS_SECONDS = 0.5


def main() -> None:
    # Whatever a library prints must not come between our lines.
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    say = _Voice(out)
    try:
        cluster = Cluster(**json.loads(sys.stdin.buffer.readline()))
        disks = Disks(cluster)
    except Exception as error:
        fault, why = explain(error)
        say({"fault": fault, "why": why})
        return
    say({"ready": cluster.addresses})
    with ThreadPoolExecutor(_THREADS) as threads:
        for line in sys.stdin.buffer:
            threads.submit(_answer, disks, say, json.loads(line))
        # The engine has gone. What hangs must not keep us.
        threading.Timer(_GOODBYE_SECONDS, os._exit, [0]).start()
        cluster.locks.release_all()
        cluster.sign_out()
        os._exit(0)


class _Voice:
    """Says whole lines, from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._lock = out, threading.Lock()

    def __call__(self, message: dict[str, Any]) -> None:
        with self._lock:
            try:
                self._out.write(json.dumps(message).encode() + b"\n")
            except BrokenPipeError:
                os._exit(0)


class _Progress:
    """Says how far a request is, now and then."""

    def __init__(self, say: _Voice, number: int) -> None:
        self._say, self._number, self._said = say, number, 0.0

    def __call__(self, fraction: float) -> None:
        if time.monotonic() - self._said >= _PROGRESS_SECONDS:
            self._said = time.monotonic()
            self._say({"id": self._number, "progress": fraction})


def _answer(disks: Disks, say: _Voice, request: dict[str, Any]) -> None:
    number = request["id"]
    try:
        verb = getattr(disks, request["do"])
        result = verb(**request["with"], progress=_Progress(say, number))
        say({"id": number, "ok": result})
    except Exception as error:
        if not isinstance(error, Refused):
            traceback.print_exc()
        fault, why = explain(error)
        say({"id": number, "fault": fault, "why": why})
        if fault == "fenced":
            os._exit(1)  # nothing that we ask will be answered any more


main()
