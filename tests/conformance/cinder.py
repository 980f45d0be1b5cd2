"""The `cinder` command of python-cinderclient, run and read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.clouds import User
from tests.processes import LIMIT, environment, wait_until

_PROGRAM = Path(sys.executable).with_name("cinder")
_NEWEST = "3.71"


class Cinder:
    """`cinder …` as the user of an `openrc` file, at a microversion."""

    def __init__(self, openrc: Path, version: str = _NEWEST) -> None:
        lines = openrc.read_text().splitlines()
        own = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        self._environment = environment(**own, OS_VOLUME_API_VERSION=version)

    def __call__(self, *words: str) -> str:
        """What it prints."""
        done = self._run(*words)
        assert done.returncode == 0, f"cinder {' '.join(words)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *words: str) -> str:
        """What it says when it fails."""
        done = self._run(*words)
        assert done.returncode != 0, f"cinder {' '.join(words)}:\n{done.stdout}"
        return done.stderr

    def shown(self, *words: str) -> dict[str, str]:
        """A table of properties and their values; of one that goes on in more lines, the lines after one another."""
        return {line[0]: line[1] for line in _rows(self(*words))[1:]}

    def listed(self, *words: str) -> list[dict[str, str]]:
        """A table with a line for each thing."""
        rows = _rows(self(*words))
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_PROGRAM, *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )


def _rows(table: str) -> list[list[str]]:
    """The cells of a table's lines; a line without a first cell goes on with the one before it."""
    rows: list[list[str]] = []
    for line in re.findall(r"^\|(.*)\|$", table, re.MULTILINE):
        cells = [cell.strip() for cell in line.split(" | ")]
        if rows and not cells[0]:
            rows[-1] = [f"{before}\n{cell}" if cell else before for before, cell in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    return rows


def until(user: User, kind: str, ident: str, status: str) -> Any:
    """Wait until a volume or a snapshot has this status; a status in which it would stay ends the wait."""

    def look() -> Any:
        return user.ask("GET", f"/volume/v3/{kind}s/{ident}")[kind]

    wait_until(f"{kind} {ident} ends", lambda: not look()["status"].endswith("ing"))
    found = look()
    assert found["status"] == status, found
    return found


def until_gone(user: User, kind: str, ident: str) -> None:
    path = f"/volume/v3/{kind}s/{ident}"
    wait_until(f"{kind} {ident} is gone", lambda: user.request("GET", path).status_code == 404)
