"""One at a time on a disk, among all engines: a lock in RADOS with a lease, which this process renews while it lives.

Who lets a lease run out may still have something under way. That harms nobody: the books change by
compare-and-swap, what is copied is copied under another name, and a worker that hung is fenced before the next
one begins.
"""

from __future__ import annotations

import contextlib
import errno
import struct
import threading
import time
import uuid
from typing import Any

import rados

LEASE_SECONDS = 30
_RENEW_SECONDS = 8.0
_NAME = "cyclades"
_EPHEMERAL = 3  # exclusive, and the object goes with the lock
_MAY_RENEW = 1


class Locks:
    def __init__(self, io: Any) -> None:
        self._io = io
        self._held: dict[str, str] = {}  # cookie → object
        self._guard = threading.Lock()
        threading.Thread(target=self._keep, daemon=True).start()

    def take(self, disk: str) -> str | None:
        """The lock's cookie, or None if another has it."""
        cookie, key = uuid.uuid4().hex, f"cyclades.lock.{disk}"
        try:
            self._lock(key, cookie, 0)
        except rados.Error as error:
            if abs(error.errno or 0) in (errno.EBUSY, errno.EEXIST):
                return None
            raise
        with self._guard:
            self._held[cookie] = key
        return cookie

    def release(self, cookie: str) -> None:
        with self._guard:
            key = self._held.pop(cookie, None)
        if key is not None:
            with contextlib.suppress(rados.ObjectNotFound):  # the lease ran out
                self._io.unlock(key, _NAME, cookie)

    def release_all(self) -> None:
        for cookie in list(self._held):
            self.release(cookie)

    def _keep(self) -> None:
        while True:
            time.sleep(_RENEW_SECONDS)
            with self._guard:
                held = list(self._held.items())
            for cookie, key in held:
                try:
                    if cookie in self._held:
                        self._lock(key, cookie, _MAY_RENEW)
                        if cookie not in self._held:  # it was released meanwhile, and now is there again
                            self._io.unlock(key, _NAME, cookie)
                except rados.Error:
                    continue  # tried again, or the lease is lost

    def _lock(self, key: str, cookie: str, flags: int) -> None:
        """`cls_lock`'s own method, since the binding's functions make locks whose objects stay."""
        body = b"".join(
            (
                _text(_NAME),
                struct.pack("<B", _EPHEMERAL),
                _text(cookie),
                _text(""),  # tag
                _text(""),  # description
                struct.pack("<IIB", LEASE_SECONDS, 0, flags),
            )
        )
        self._io.execute(key, "lock", "lock", struct.pack("<BBI", 1, 1, len(body)) + body)


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()
