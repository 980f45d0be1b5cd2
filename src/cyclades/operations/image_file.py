"""The files of images: written once, with holes for zeros, then only read and removed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cyclades.config import Settings
from cyclades.model.units import KIB, MIB
from cyclades.pools.base import Progress

_BLOCK = 64 * KIB  # the grain of holes
_ZEROS = bytes(_BLOCK)
_PIECE = MIB  # bytes read at a time
_TELL_SECONDS = 1.0  # between two tellings of progress


@dataclass(frozen=True)
class Written:
    """A whole file. `checksum` is MD5, `hash_value` SHA-512, both in hex."""

    size: int
    checksum: str
    hash_value: str


def path_of(settings: Settings, file: str) -> Path:
    """`file` is the name that a row has for it."""
    return settings.image_dir.absolute() / file


def remove(path: Path) -> None:
    """A success also if it is not there."""
    path.unlink(missing_ok=True)


class Writer:
    """A new file that grows at its end. Its methods block: call them in a thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()

    def write(self, data: bytes | bytearray) -> None:
        self._md5.update(data)
        self._sha512.update(data)
        begin = 0  # of what is to be written next
        at = 0
        with memoryview(data) as view:
            while at < len(data):
                length = min(_BLOCK - (self._size + at) % _BLOCK, len(data) - at)
                if data.startswith(_ZEROS[:length] if length < _BLOCK else _ZEROS, at):
                    self._put(view[begin:at], self._size + begin)
                    begin = at + length
                at += length
            self._put(view[begin:], self._size + begin)
        self._size += len(data)

    def _put(self, data: memoryview, offset: int) -> None:
        with data:
            while data:
                written = os.pwrite(self._file, data, offset)
                data, offset = data[written:], offset + written

    def finish(self) -> Written:
        """Return when a crash can no longer lose the file."""
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)
        _sync_directory(self._path)
        return Written(self._size, self._md5.hexdigest(), self._sha512.hexdigest())

    def close(self) -> None:
        os.close(self._file)


def _sync_directory(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


async def digest(path: Path, progress: Progress) -> Written:
    """What is told of a whole file that another program wrote, and flushed. A crash can no longer lose its name when
    this returns."""
    await asyncio.to_thread(_sync_directory, path)
    size, done, told = path.stat().st_size, 0, time.monotonic()
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()

    def update(data: bytes) -> None:
        md5.update(data)
        sha512.update(data)

    async for data in pieces(open_to_read(path), 0, size):
        await asyncio.to_thread(update, data)
        done += len(data)
        if time.monotonic() >= told + _TELL_SECONDS:
            told = time.monotonic()
            await progress(done / size)
    return Written(size, md5.hexdigest(), sha512.hexdigest())


def open_to_read(path: Path) -> BinaryIO:
    return path.open("rb", buffering=0)


async def pieces(file: BinaryIO, begin: int, end: int) -> AsyncIterator[bytes]:
    """The bytes from `begin` up to `end`, read in threads; the file is closed after them."""
    with file:
        while begin < end:
            data = await asyncio.to_thread(os.pread, file.fileno(), min(_PIECE, end - begin), begin)
            if not data:
                raise EOFError("The file of an image is shorter than its row says.")
            yield data
            begin += len(data)
