"""Passwords: hashed with argon2id, off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cyclades.config import Identity
from cyclades.model.errors import Unavailable
from cyclades.model.units import MIB

T = TypeVar("T")

LONGEST = 4096  # characters of a password; hashing takes time with its length
_PASSES = 2
_M_MMAP_THRESHOLD = -3  # of <malloc.h>: larger pieces of memory return to the system when they are freed
_MOST_WAITING = 256  # so that a flood of logins cannot fill the memory


class Passwords:
    """Hashes and checks passwords. One takes `hash_memory` KiB and some 30 ms; `hash_at_once` run together."""

    def __init__(self, settings: Identity) -> None:
        self._hasher = PasswordHasher(time_cost=_PASSES, memory_cost=settings.hash_memory, parallelism=1)
        self._threads = ThreadPoolExecutor(settings.hash_at_once, thread_name_prefix="passwords")
        self._waiting = 0
        _give_memory_back()
        self._nobodys = _nobodys_hash(settings.hash_memory)

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self.hash_now(password))

    def hash_now(self, password: str) -> str:
        """`hash` for code without an event loop."""
        return self._hasher.hash(password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one that was hashed. Without a hash (no such user): no, after as long a time."""
        return await self._run(lambda: self._verify(stored or self._nobodys, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other costs than those of today."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        self._threads.shutdown()

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise Unavailable("logins-waiting", "Too many logins wait for their turn; try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _give_memory_back() -> None:
    """glibc keeps for each thread what a first hash took and gave back, unless it is told where to stop."""
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MIB)


def _nobodys_hash(memory: int) -> str:
    """The form of a hash that no password has."""
    salt, digest = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={memory},t={_PASSES},p=1${salt}${digest}"
