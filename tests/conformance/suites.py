"""Runs another project's tests, which have an environment of their own, through stestr, and reads how each one went."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".venv-conformance" / "bin"  # `make` installs them there
# Variables that would lead the tests elsewhere than to the cloud that they are run for.
_UNWANTED = re.compile(r"OS_|CYCLADES_|.*_proxy$", re.IGNORECASE)
_PASSED = ("success", "xfail")
_OF_CLASS = "setUpClass ("
EACH_CLASS = r"([^\.]*\.)*"  # of a test's name


@dataclass(frozen=True)
class Result:
    """Of one test. `text` is why it was skipped, or all that is known of its failure."""

    name: str
    status: str
    seconds: float
    text: str

    @property
    def passed(self) -> bool:
        return self.status in _PASSED

    @property
    def skipped(self) -> bool:
        return self.status == "skip"


class Suite:
    """The tests that are found in the installed package at `path` (below site-packages), run in the directory
    `workspace`. Tests whose names begin with the same match of `together` run in one process, one after another."""

    def __init__(self, workspace: Path, path: str, *, together: str, **environment: str) -> None:
        self._workspace = workspace
        clean = {name: value for name, value in os.environ.items() if not _UNWANTED.match(name)}
        self._environment = clean | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": str(workspace)} | environment
        packages = next(PROGRAMS.parent.glob("lib/python3*/site-packages"))
        workspace.mkdir(parents=True, exist_ok=True)
        settings = f"[DEFAULT]\ntest_path={packages / path}\ntop_dir={packages}\ngroup_regex={together}\n"
        (workspace / ".stestr.conf").write_text(settings)
        self._read("stestr", "init")

    def names(self) -> list[str]:
        """Of all its tests, as `run` takes them."""
        return [line for line in self._read("stestr", "list").decode().splitlines() if "." in line]

    def run(self, names: Iterable[str], *, concurrency: int) -> dict[str, Result]:
        """Run these tests, showing them as they go; returns the result of each."""
        chosen = list(names)
        listed = self._workspace / "chosen.txt"
        listed.write_text("".join(f"{name}\n" for name in chosen))
        self._show("stestr", "run", "--load-list", str(listed), "--concurrency", str(concurrency))
        stream = self._read("stestr", "last", "--subunit", may_fail=True)
        lines = self._read("python", str(Path(__file__).with_name("results.py")), given=stream).splitlines()
        return _of_each(chosen, [Result(**json.loads(line)) for line in lines])

    def _read(self, *command: str, given: bytes = b"", may_fail: bool = False) -> bytes:
        done = subprocess.run(
            [PROGRAMS / command[0], *command[1:]],
            cwd=self._workspace,
            env=self._environment,
            input=given,
            stdout=subprocess.PIPE,
            check=not may_fail,
        )
        return done.stdout

    def _show(self, *command: str) -> None:
        """In a group of its own: its workers end with it, however this process ends."""
        process = subprocess.Popen(
            [PROGRAMS / command[0], *command[1:]],
            cwd=self._workspace,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _of_each(names: Iterable[str], results: Iterable[Result]) -> dict[str, Result]:
    """A test that has no result of its own has that of its class, which then refused to begin. What failed and is no
    test, such as the end of a class, is there too."""
    found = {result.name: result for result in results}
    of_tests = {name: found.get(name) or _of_class(name, found) for name in names}
    others = {name: one for name, one in found.items() if not (one.passed or one.skipped or name.startswith(_OF_CLASS))}
    return of_tests | others


def _of_class(name: str, found: Mapping[str, Result]) -> Result:
    of_class = found.get(f"{_OF_CLASS}{name.partition('[')[0].rpartition('.')[0]})")
    if of_class is None:
        return Result(name, "fail", 0.0, "It was not run.")
    return Result(name, of_class.status, 0.0, of_class.text)
