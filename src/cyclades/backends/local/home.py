"""A server's directory: what was asked for, and where its QEMU keeps its files.

`server.json` is written as a whole. `power` in it is what is wanted: a server that is wanted `on` and has no
QEMU has crashed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from pathlib import Path
from typing import Literal

import msgspec

from cyclades.backends.base import SeenDisk

_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux
_CONSOLE_MOST, _CONSOLE_KEPT = 1 << 20, 1 << 18  # bytes


class Plugged(msgspec.Struct, frozen=True):
    volume_id: str
    index: int
    generation: int
    read_only: bool = False

    def seen(self) -> SeenDisk:
        return SeenDisk(self.volume_id, self.index, self.generation, self.read_only)


class Wanted(msgspec.Struct):
    """What `server.json` holds."""

    power: Literal["on", "off"]
    disks: dict[str, Plugged]


class Home:
    """The directory of one server, whether it is there or not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.qmp = directory / "qmp.sock"
        self.events = directory / "events.sock"
        self.operator = directory / "operator.sock"
        self.pid_file = directory / "qemu.pid"
        self.log = directory / "qemu.log"
        self.console = directory / "console.log"
        self._wanted = directory / "server.json"

    @property
    def server_id(self) -> str:
        return self.directory.name

    def drive(self, label: str) -> Path:
        """The config drive with this label."""
        return self.directory / f"{label}.img"

    def wanted(self) -> Wanted | None:
        """What was asked for; None if there is no such server."""
        try:
            return msgspec.json.decode(self._wanted.read_bytes(), type=Wanted)
        except FileNotFoundError:
            return None

    def want(self, wanted: Wanted) -> None:
        new = self._wanted.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(wanted))
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._wanted)

    def pid(self) -> int | None:
        """Of the QEMU that runs. QEMU holds a lock on its pid file for as long as it lives, so a number that
        is left in the file of a dead one deceives nobody."""
        try:
            with self.pid_file.open("rb") as file:
                wish = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                kind = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, wish))[0]
                text = file.read().strip()
        except FileNotFoundError:
            return None
        return int(text) if kind != fcntl.F_UNLCK and text.isdigit() else None

    def console_tail(self, lines: int | None) -> str:
        try:
            text = self.console.read_bytes()[-_CONSOLE_MOST:].decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        if lines is None:
            return text
        return "\n".join(text.split("\n")[-lines:]) if lines > 0 else ""

    def trim_console(self) -> None:
        """A guest can write to its console for ever; only the end is kept. QEMU appends, so it goes on behind
        what is written here (a line that it writes in this very moment may be lost)."""
        try:
            if self.console.stat().st_size <= _CONSOLE_MOST:
                return
            with self.console.open("r+b") as file:
                file.seek(-_CONSOLE_KEPT, os.SEEK_END)
                kept = file.read()
                file.truncate(0)
                file.seek(0)
                file.write(kept)
        except FileNotFoundError:
            return

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
