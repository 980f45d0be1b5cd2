"""The serial console of a guest under Ganeti: a socket on the node. One reader at a time; what the guest says while
nobody is connected is lost."""

from __future__ import annotations

import itertools
import os
import re
import select
import socket
import time
from pathlib import Path

_PATIENCE = 2.0  # seconds for the answer to a ping, before the next


class Console:
    """`limit` is the seconds that anything may take."""

    def __init__(self, directory: Path, name: str, limit: float) -> None:
        self._limit = limit
        self._tags = itertools.count(1)
        self.said = ""  # by the guest since the connection was made, as far as it was read
        self._socket = socket.socket(socket.AF_UNIX)
        descriptor = os.open(directory, os.O_PATH)  # a socket's path may not be long
        try:
            self._socket.connect(f"/proc/self/fd/{descriptor}/{name}")
        finally:
            os.close(descriptor)

    def wait(self, pattern: str) -> re.Match[str]:
        """Read until a line matches that the guest has said since the connection was made."""
        match = self._read_until(pattern, self._limit)
        assert match, f"no {pattern!r} on the console: {self.said}"
        return match

    def until_up(self) -> None:
        """Wait until the small guest obeys."""
        give_up = time.monotonic() + self._limit
        while not self._asked("ping", _PATIENCE):
            assert time.monotonic() < give_up, f"no guest on the console: {self.said}"

    def ask(self, line: str) -> str:
        """Have the small guest do something; guest/README.md has the verbs. Returns the answer without its `ok`."""
        answer = self._asked(line, self._limit)
        assert answer, f"no answer to {line!r} on the console: {self.said}"
        assert answer.startswith("ok"), f"{line}: {answer}"
        return answer.removeprefix("ok").strip()

    def _asked(self, line: str, seconds: float) -> str | None:
        tag = next(self._tags)  # an answer that comes late is not the next one's
        self._socket.sendall(f"{tag} {line}\n".encode())
        match = self._read_until(rf"^ANSWER {tag} (.*?)\r?\n", seconds)
        return match and match[1]

    def _read_until(self, pattern: str, seconds: float) -> re.Match[str] | None:
        wanted = re.compile(pattern, re.MULTILINE)
        give_up = time.monotonic() + seconds
        while not (match := wanted.search(self.said)):
            readable, _, _ = select.select([self._socket], [], [], max(give_up - time.monotonic(), 0))
            data = self._socket.recv(65536) if readable else b""
            if not data:
                return None
            self.said += data.decode(errors="replace")
        return match

    def close(self) -> None:
        self._socket.close()
